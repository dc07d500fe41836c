-- The new More Trees platform in SQLite, for demos and tests: the same tables, columns, order and constraints as
-- ../postgres/up.sql, which is the client's and decides. A test compares the two (crates/testkit/tests/agreement).
--
-- How a PostgreSQL type is kept. The declared types are the logical ones; SQLite does not hold them by itself (and STRICT
-- would forbid to name them), so a CHECK named TABLE_COLUMN_type does at the end of each table. The other CHECKs carry
-- the names that PostgreSQL gives them. A list of texts (`kind IN (...)`) holds its type by itself.
--   BIGINT identity   INTEGER PRIMARY KEY AUTOINCREMENT (an id of NULL is a new id here, an error in PostgreSQL)
--   INTEGER SMALLINT  integers within their range
--   TEXT              text without the character NUL, which PostgreSQL does not take
--   CHAR(n)           at most n characters, blanks at the end don't count (COLLATE RTRIM)
--   BOOLEAN           0 or 1
--   TIMESTAMPTZ       UTC, always 26 characters: 2024-01-16 03:00:00.000000; a real date and time, years 0001 to 9999
--   DATE              2024-01-16, likewise
-- A regular expression is written with GLOB, which is case-sensitive. lower() and upper() know ASCII alone: an
-- address with a non-ASCII capital passes account_emails_email_check here, and in PostgreSQL only where the locale is C.
-- Foreign keys hold on connections that say PRAGMA foreign_keys = ON.

CREATE TABLE currencies (
  code     CHAR(3)  NOT NULL COLLATE RTRIM PRIMARY KEY CONSTRAINT currencies_code_check CHECK (code = upper(code)),
  exponent SMALLINT NOT NULL CONSTRAINT currencies_exponent_check CHECK (exponent BETWEEN 0 AND 4),
  CONSTRAINT currencies_code_type CHECK (typeof(code) = 'text' AND instr(code, char(0)) = 0 AND length(rtrim(code)) <= 3),
  CONSTRAINT currencies_exponent_type CHECK (typeof(exponent) = 'integer')
);

CREATE TABLE countries (
  code CHAR(2) NOT NULL COLLATE RTRIM PRIMARY KEY CONSTRAINT countries_code_check CHECK (code = upper(code)),
  name TEXT    NOT NULL UNIQUE,
  CONSTRAINT countries_code_type CHECK (typeof(code) = 'text' AND instr(code, char(0)) = 0 AND length(rtrim(code)) <= 2),
  CONSTRAINT countries_name_type CHECK (typeof(name) = 'text' AND instr(name, char(0)) = 0)
);

CREATE TABLE accounts (
  id                INTEGER     PRIMARY KEY AUTOINCREMENT,
  kind              TEXT        NOT NULL CONSTRAINT accounts_kind_check CHECK (kind IN ('person', 'brand')),
  email             TEXT        NOT NULL UNIQUE,
  display_name      TEXT        NOT NULL CONSTRAINT accounts_display_name_check CHECK (length(display_name) BETWEEN 1 AND 120),
  given_name        TEXT        CONSTRAINT accounts_given_name_check CHECK (given_name <> ''),
  family_name       TEXT        CONSTRAINT accounts_family_name_check CHECK (family_name <> ''),
  phone             TEXT        CONSTRAINT accounts_phone_check CHECK (  -- E.164
                      phone GLOB '+[1-9]*' AND substr(phone, 2) NOT GLOB '*[^0-9]*' AND length(phone) BETWEEN 8 AND 16),
  country_code      CHAR(2)     COLLATE RTRIM REFERENCES countries,
  locale            TEXT        CONSTRAINT accounts_locale_check CHECK (
                      locale GLOB '[a-z][a-z]' OR locale GLOB '[a-z][a-z]-[A-Z][A-Z]'),
  password_hash     TEXT        CONSTRAINT accounts_password_hash_check CHECK (password_hash GLOB '$2[aby]$*'),  -- bcrypt only; NULL forces a reset
  marketing_consent BOOLEAN     NOT NULL,
  status            TEXT        NOT NULL CONSTRAINT accounts_status_check CHECK (status IN ('active', 'closed')),
  merged_into       BIGINT      REFERENCES accounts,
  created_at        TIMESTAMPTZ NOT NULL CONSTRAINT accounts_created_at_check CHECK (created_at >= '2015-01-01 00:00:00.000000'),
  last_seen_at      TIMESTAMPTZ,
  updated_at        TIMESTAMPTZ NOT NULL,
  CONSTRAINT accounts_check CHECK (merged_into IS NULL OR (status = 'closed' AND merged_into <> id)),
  CONSTRAINT accounts_email_type CHECK (typeof(email) = 'text' AND instr(email, char(0)) = 0),
  CONSTRAINT accounts_display_name_type CHECK (typeof(display_name) = 'text' AND instr(display_name, char(0)) = 0),
  CONSTRAINT accounts_given_name_type CHECK (typeof(given_name) IN ('text', 'null') AND instr(given_name, char(0)) = 0),
  CONSTRAINT accounts_family_name_type CHECK (typeof(family_name) IN ('text', 'null') AND instr(family_name, char(0)) = 0),
  CONSTRAINT accounts_phone_type CHECK (typeof(phone) IN ('text', 'null') AND instr(phone, char(0)) = 0),
  CONSTRAINT accounts_country_code_type CHECK (typeof(country_code) IN ('text', 'null') AND instr(country_code, char(0)) = 0
    AND length(rtrim(country_code)) <= 2),
  CONSTRAINT accounts_locale_type CHECK (typeof(locale) IN ('text', 'null') AND instr(locale, char(0)) = 0),
  CONSTRAINT accounts_password_hash_type CHECK (typeof(password_hash) IN ('text', 'null') AND instr(password_hash, char(0)) = 0),
  CONSTRAINT accounts_marketing_consent_type CHECK (marketing_consent IN (0, 1)),
  CONSTRAINT accounts_merged_into_type CHECK (typeof(merged_into) IN ('integer', 'null')),
  CONSTRAINT accounts_created_at_type CHECK (typeof(created_at) = 'text' AND substr(created_at, 1, 4) <> '0000'
    AND datetime(substr(created_at, 1, 19), '+0 days') IS substr(created_at, 1, 19)
    AND substr(created_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]'),
  CONSTRAINT accounts_last_seen_at_type CHECK (typeof(last_seen_at) IN ('text', 'null') AND substr(last_seen_at, 1, 4) <> '0000'
    AND datetime(substr(last_seen_at, 1, 19), '+0 days') IS substr(last_seen_at, 1, 19)
    AND substr(last_seen_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]'),
  CONSTRAINT accounts_updated_at_type CHECK (typeof(updated_at) = 'text' AND substr(updated_at, 1, 4) <> '0000'
    AND datetime(substr(updated_at, 1, 19), '+0 days') IS substr(updated_at, 1, 19)
    AND substr(updated_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]')
);
-- To be created by the migration once duplicates are consolidated, and valid from then on:
--   CREATE UNIQUE INDEX accounts_one_per_email ON accounts (lower(email)) WHERE merged_into IS NULL;

CREATE TABLE account_emails (            -- other spellings and merged addresses that still belong to an account
  email      TEXT   NOT NULL PRIMARY KEY CONSTRAINT account_emails_email_check CHECK (email = lower(email)),
  account_id BIGINT NOT NULL REFERENCES accounts,
  CONSTRAINT account_emails_email_type CHECK (typeof(email) = 'text' AND instr(email, char(0)) = 0),
  CONSTRAINT account_emails_account_id_type CHECK (typeof(account_id) = 'integer')
);

CREATE TABLE brands (
  id                   INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id           BIGINT  NOT NULL REFERENCES accounts,
  name                 TEXT    NOT NULL CONSTRAINT brands_name_check CHECK (name <> ''),
  vat_number           TEXT    CONSTRAINT brands_vat_number_check CHECK (vat_number <> ''),
  billing_mode         TEXT    NOT NULL CONSTRAINT brands_billing_mode_check CHECK (billing_mode IN ('card', 'invoice', 'cross_charge')),
  currency             CHAR(3) NOT NULL COLLATE RTRIM REFERENCES currencies,
  price_per_tree_minor BIGINT  CONSTRAINT brands_price_per_tree_minor_check CHECK (price_per_tree_minor >= 0),
  group_name           TEXT    CONSTRAINT brands_group_name_check CHECK (group_name <> ''),
  CONSTRAINT brands_account_id_type CHECK (typeof(account_id) = 'integer'),
  CONSTRAINT brands_name_type CHECK (typeof(name) = 'text' AND instr(name, char(0)) = 0),
  CONSTRAINT brands_vat_number_type CHECK (typeof(vat_number) IN ('text', 'null') AND instr(vat_number, char(0)) = 0),
  CONSTRAINT brands_currency_type CHECK (typeof(currency) = 'text' AND instr(currency, char(0)) = 0 AND length(rtrim(currency)) <= 3),
  CONSTRAINT brands_price_per_tree_minor_type CHECK (typeof(price_per_tree_minor) IN ('integer', 'null')),
  CONSTRAINT brands_group_name_type CHECK (typeof(group_name) IN ('text', 'null') AND instr(group_name, char(0)) = 0)
);

CREATE TABLE projects (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  slug         TEXT    NOT NULL UNIQUE CONSTRAINT projects_slug_check CHECK (
                 slug <> '' AND slug NOT GLOB '*[^a-z0-9-]*' AND slug NOT GLOB '-*' AND slug NOT GLOB '*-' AND slug NOT GLOB '*--*'),
  name         TEXT    NOT NULL CONSTRAINT projects_name_check CHECK (name <> ''),
  country_code CHAR(2) COLLATE RTRIM REFERENCES countries,
  latitude     DOUBLE PRECISION CONSTRAINT projects_latitude_check CHECK (latitude BETWEEN -90 AND 90),
  longitude    DOUBLE PRECISION CONSTRAINT projects_longitude_check CHECK (longitude BETWEEN -180 AND 180),
  active       BOOLEAN NOT NULL,
  CONSTRAINT projects_check CHECK ((latitude IS NULL) = (longitude IS NULL)),
  CONSTRAINT projects_slug_type CHECK (typeof(slug) = 'text' AND instr(slug, char(0)) = 0),
  CONSTRAINT projects_name_type CHECK (typeof(name) = 'text' AND instr(name, char(0)) = 0),
  CONSTRAINT projects_country_code_type CHECK (typeof(country_code) IN ('text', 'null') AND instr(country_code, char(0)) = 0
    AND length(rtrim(country_code)) <= 2),
  CONSTRAINT projects_latitude_type CHECK (typeof(latitude) IN ('real', 'null')),
  CONSTRAINT projects_longitude_type CHECK (typeof(longitude) IN ('real', 'null')),
  CONSTRAINT projects_active_type CHECK (active IN (0, 1))
);

CREATE TABLE project_species (
  project_id BIGINT NOT NULL REFERENCES projects,
  species    TEXT   NOT NULL CONSTRAINT project_species_species_check CHECK (species <> ''),
  PRIMARY KEY (project_id, species),
  CONSTRAINT project_species_project_id_type CHECK (typeof(project_id) = 'integer'),
  CONSTRAINT project_species_species_type CHECK (typeof(species) = 'text' AND instr(species, char(0)) = 0)
);

CREATE TABLE subscriptions (
  id              INTEGER     PRIMARY KEY AUTOINCREMENT,
  account_id      BIGINT      NOT NULL REFERENCES accounts,
  plan            TEXT        NOT NULL CONSTRAINT subscriptions_plan_check CHECK (plan <> ''),
  trees_per_cycle INTEGER     NOT NULL CONSTRAINT subscriptions_trees_per_cycle_check CHECK (trees_per_cycle > 0),
  amount_minor    BIGINT      NOT NULL CONSTRAINT subscriptions_amount_minor_check CHECK (amount_minor >= 0),
  currency        CHAR(3)     NOT NULL COLLATE RTRIM REFERENCES currencies,
  cycle           TEXT        NOT NULL CONSTRAINT subscriptions_cycle_check CHECK (cycle IN ('month', 'year')),
  status          TEXT        NOT NULL CONSTRAINT subscriptions_status_check CHECK (status IN ('active', 'paused', 'past_due', 'cancelled')),
  gateway_ref     TEXT        UNIQUE,
  started_at      TIMESTAMPTZ NOT NULL,
  next_billing_at TIMESTAMPTZ,
  cancelled_at    TIMESTAMPTZ,
  CONSTRAINT subscriptions_check CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL)),
  CONSTRAINT subscriptions_check1 CHECK (cancelled_at IS NULL OR cancelled_at >= started_at),
  CONSTRAINT subscriptions_account_id_type CHECK (typeof(account_id) = 'integer'),
  CONSTRAINT subscriptions_plan_type CHECK (typeof(plan) = 'text' AND instr(plan, char(0)) = 0),
  CONSTRAINT subscriptions_trees_per_cycle_type CHECK (typeof(trees_per_cycle) = 'integer' AND trees_per_cycle BETWEEN -2147483648 AND 2147483647),
  CONSTRAINT subscriptions_amount_minor_type CHECK (typeof(amount_minor) = 'integer'),
  CONSTRAINT subscriptions_currency_type CHECK (typeof(currency) = 'text' AND instr(currency, char(0)) = 0 AND length(rtrim(currency)) <= 3),
  CONSTRAINT subscriptions_gateway_ref_type CHECK (typeof(gateway_ref) IN ('text', 'null') AND instr(gateway_ref, char(0)) = 0),
  CONSTRAINT subscriptions_started_at_type CHECK (typeof(started_at) = 'text' AND substr(started_at, 1, 4) <> '0000'
    AND datetime(substr(started_at, 1, 19), '+0 days') IS substr(started_at, 1, 19)
    AND substr(started_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]'),
  CONSTRAINT subscriptions_next_billing_at_type CHECK (typeof(next_billing_at) IN ('text', 'null') AND substr(next_billing_at, 1, 4) <> '0000'
    AND datetime(substr(next_billing_at, 1, 19), '+0 days') IS substr(next_billing_at, 1, 19)
    AND substr(next_billing_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]'),
  CONSTRAINT subscriptions_cancelled_at_type CHECK (typeof(cancelled_at) IN ('text', 'null') AND substr(cancelled_at, 1, 4) <> '0000'
    AND datetime(substr(cancelled_at, 1, 19), '+0 days') IS substr(cancelled_at, 1, 19)
    AND substr(cancelled_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]')
);
CREATE UNIQUE INDEX subscriptions_one_active ON subscriptions (account_id, plan) WHERE status = 'active';

CREATE TABLE invoices (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id  BIGINT  NOT NULL REFERENCES accounts,
  number      TEXT    NOT NULL UNIQUE CONSTRAINT invoices_number_check CHECK (
                number GLOB 'MT-[0-9]*' AND substr(number, 4) NOT GLOB '*[^0-9]*'),
  total_minor BIGINT  NOT NULL CONSTRAINT invoices_total_minor_check CHECK (total_minor > 0),
  currency    CHAR(3) NOT NULL COLLATE RTRIM REFERENCES currencies,
  issued_on   DATE    NOT NULL,
  due_on      DATE,
  status      TEXT    NOT NULL CONSTRAINT invoices_status_check CHECK (status IN ('open', 'paid')),
  CONSTRAINT invoices_check CHECK (due_on IS NULL OR due_on >= issued_on),
  CONSTRAINT invoices_account_id_type CHECK (typeof(account_id) = 'integer'),
  CONSTRAINT invoices_number_type CHECK (typeof(number) = 'text' AND instr(number, char(0)) = 0),
  CONSTRAINT invoices_total_minor_type CHECK (typeof(total_minor) = 'integer'),
  CONSTRAINT invoices_currency_type CHECK (typeof(currency) = 'text' AND instr(currency, char(0)) = 0 AND length(rtrim(currency)) <= 3),
  CONSTRAINT invoices_issued_on_type CHECK (typeof(issued_on) = 'text' AND substr(issued_on, 1, 4) <> '0000'
    AND date(issued_on, '+0 days') IS issued_on),
  CONSTRAINT invoices_due_on_type CHECK (typeof(due_on) IN ('text', 'null') AND substr(due_on, 1, 4) <> '0000'
    AND date(due_on, '+0 days') IS due_on)
);

CREATE TABLE payments (
  id              INTEGER     PRIMARY KEY AUTOINCREMENT,
  account_id      BIGINT      NOT NULL REFERENCES accounts,
  method          TEXT        NOT NULL CONSTRAINT payments_method_check CHECK (
                    method IN ('card', 'paypal', 'bank_transfer', 'credit', 'cross_charge')),
  status          TEXT        NOT NULL CONSTRAINT payments_status_check CHECK (
                    status IN ('pending', 'succeeded', 'failed', 'refunded', 'partially_refunded')),
  amount_minor    BIGINT      NOT NULL CONSTRAINT payments_amount_minor_check CHECK (amount_minor > 0),
  currency        CHAR(3)     NOT NULL COLLATE RTRIM REFERENCES currencies,
  gateway         TEXT        CONSTRAINT payments_gateway_check CHECK (gateway <> ''),
  gateway_ref     TEXT        CONSTRAINT payments_gateway_ref_check CHECK (gateway_ref <> ''),
  subscription_id BIGINT      REFERENCES subscriptions,
  paid_at         TIMESTAMPTZ NOT NULL,
  UNIQUE (gateway, gateway_ref),
  CONSTRAINT payments_account_id_type CHECK (typeof(account_id) = 'integer'),
  CONSTRAINT payments_amount_minor_type CHECK (typeof(amount_minor) = 'integer'),
  CONSTRAINT payments_currency_type CHECK (typeof(currency) = 'text' AND instr(currency, char(0)) = 0 AND length(rtrim(currency)) <= 3),
  CONSTRAINT payments_gateway_type CHECK (typeof(gateway) IN ('text', 'null') AND instr(gateway, char(0)) = 0),
  CONSTRAINT payments_gateway_ref_type CHECK (typeof(gateway_ref) IN ('text', 'null') AND instr(gateway_ref, char(0)) = 0),
  CONSTRAINT payments_subscription_id_type CHECK (typeof(subscription_id) IN ('integer', 'null')),
  CONSTRAINT payments_paid_at_type CHECK (typeof(paid_at) = 'text' AND substr(paid_at, 1, 4) <> '0000'
    AND datetime(substr(paid_at, 1, 19), '+0 days') IS substr(paid_at, 1, 19)
    AND substr(paid_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]')
);
CREATE INDEX payments_account ON payments (account_id);

CREATE TABLE refunds (
  id           INTEGER     PRIMARY KEY AUTOINCREMENT,
  payment_id   BIGINT      NOT NULL REFERENCES payments,
  amount_minor BIGINT      NOT NULL CONSTRAINT refunds_amount_minor_check CHECK (amount_minor > 0),
  reason       TEXT        NOT NULL CONSTRAINT refunds_reason_check CHECK (reason IN ('refund', 'legacy_status', 'reversal')),
  refunded_at  TIMESTAMPTZ NOT NULL,
  CONSTRAINT refunds_payment_id_type CHECK (typeof(payment_id) = 'integer'),
  CONSTRAINT refunds_amount_minor_type CHECK (typeof(amount_minor) = 'integer'),
  CONSTRAINT refunds_refunded_at_type CHECK (typeof(refunded_at) = 'text' AND substr(refunded_at, 1, 4) <> '0000'
    AND datetime(substr(refunded_at, 1, 19), '+0 days') IS substr(refunded_at, 1, 19)
    AND substr(refunded_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]')
);
CREATE INDEX refunds_payment ON refunds (payment_id);

CREATE TABLE payment_allocations (       -- which invoices a payment settles, and by how much
  payment_id   BIGINT NOT NULL REFERENCES payments,
  invoice_id   BIGINT NOT NULL REFERENCES invoices,
  amount_minor BIGINT NOT NULL CONSTRAINT payment_allocations_amount_minor_check CHECK (amount_minor > 0),
  PRIMARY KEY (payment_id, invoice_id),
  CONSTRAINT payment_allocations_payment_id_type CHECK (typeof(payment_id) = 'integer'),
  CONSTRAINT payment_allocations_invoice_id_type CHECK (typeof(invoice_id) = 'integer'),
  CONSTRAINT payment_allocations_amount_minor_type CHECK (typeof(amount_minor) = 'integer')
);

CREATE TABLE plantings (
  id                   INTEGER     PRIMARY KEY AUTOINCREMENT,
  account_id           BIGINT      NOT NULL REFERENCES accounts,
  brand_id             BIGINT      REFERENCES brands,
  project_id           BIGINT      NOT NULL REFERENCES projects,
  payment_id           BIGINT      REFERENCES payments,
  kind                 TEXT        NOT NULL CONSTRAINT plantings_kind_check CHECK (
                         kind IN ('purchase', 'gift', 'subscription', 'api', 'cross_charge')),
  status               TEXT        NOT NULL CONSTRAINT plantings_status_check CHECK (status IN ('pending', 'planted')),
  trees                INTEGER     NOT NULL CONSTRAINT plantings_trees_check CHECK (trees > 0),
  cost_minor           BIGINT      CONSTRAINT plantings_cost_minor_check CHECK (cost_minor >= 0),
  currency             CHAR(3)     COLLATE RTRIM REFERENCES currencies,
  recipient_email      TEXT,
  recipient_account_id BIGINT      REFERENCES accounts,
  message              TEXT        CONSTRAINT plantings_message_check CHECK (message <> ''),
  planted_at           TIMESTAMPTZ NOT NULL,
  CONSTRAINT plantings_check CHECK ((cost_minor IS NULL) = (currency IS NULL)),
  CONSTRAINT plantings_account_id_type CHECK (typeof(account_id) = 'integer'),
  CONSTRAINT plantings_brand_id_type CHECK (typeof(brand_id) IN ('integer', 'null')),
  CONSTRAINT plantings_project_id_type CHECK (typeof(project_id) = 'integer'),
  CONSTRAINT plantings_payment_id_type CHECK (typeof(payment_id) IN ('integer', 'null')),
  CONSTRAINT plantings_trees_type CHECK (typeof(trees) = 'integer' AND trees BETWEEN -2147483648 AND 2147483647),
  CONSTRAINT plantings_cost_minor_type CHECK (typeof(cost_minor) IN ('integer', 'null')),
  CONSTRAINT plantings_currency_type CHECK (typeof(currency) IN ('text', 'null') AND instr(currency, char(0)) = 0
    AND length(rtrim(currency)) <= 3),
  CONSTRAINT plantings_recipient_email_type CHECK (typeof(recipient_email) IN ('text', 'null') AND instr(recipient_email, char(0)) = 0),
  CONSTRAINT plantings_recipient_account_id_type CHECK (typeof(recipient_account_id) IN ('integer', 'null')),
  CONSTRAINT plantings_message_type CHECK (typeof(message) IN ('text', 'null') AND instr(message, char(0)) = 0),
  CONSTRAINT plantings_planted_at_type CHECK (typeof(planted_at) = 'text' AND substr(planted_at, 1, 4) <> '0000'
    AND datetime(substr(planted_at, 1, 19), '+0 days') IS substr(planted_at, 1, 19)
    AND substr(planted_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]')
);
CREATE INDEX plantings_account ON plantings (account_id);
CREATE INDEX plantings_brand_month ON plantings (brand_id, planted_at) WHERE kind = 'cross_charge';

CREATE TABLE cross_charges (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  brand_id         BIGINT  NOT NULL REFERENCES brands,
  period           DATE    NOT NULL CONSTRAINT cross_charges_period_check CHECK (substr(period, 9, 2) = '01'),
  trees            INTEGER NOT NULL CONSTRAINT cross_charges_trees_check CHECK (trees > 0),
  unit_price_minor BIGINT  NOT NULL CONSTRAINT cross_charges_unit_price_minor_check CHECK (unit_price_minor >= 0),
  total_minor      BIGINT  NOT NULL,
  currency         CHAR(3) NOT NULL COLLATE RTRIM REFERENCES currencies,
  cost_centre      TEXT    NOT NULL CONSTRAINT cross_charges_cost_centre_check CHECK (cost_centre <> ''),
  invoice_number   TEXT,
  UNIQUE (brand_id, period, cost_centre),
  CONSTRAINT cross_charges_check CHECK (total_minor = trees * unit_price_minor),
  CONSTRAINT cross_charges_brand_id_type CHECK (typeof(brand_id) = 'integer'),
  CONSTRAINT cross_charges_period_type CHECK (typeof(period) = 'text' AND substr(period, 1, 4) <> '0000'
    AND date(period, '+0 days') IS period),
  CONSTRAINT cross_charges_trees_type CHECK (typeof(trees) = 'integer' AND trees BETWEEN -2147483648 AND 2147483647),
  CONSTRAINT cross_charges_unit_price_minor_type CHECK (typeof(unit_price_minor) = 'integer'),
  CONSTRAINT cross_charges_total_minor_type CHECK (typeof(total_minor) = 'integer'),
  CONSTRAINT cross_charges_currency_type CHECK (typeof(currency) = 'text' AND instr(currency, char(0)) = 0 AND length(rtrim(currency)) <= 3),
  CONSTRAINT cross_charges_cost_centre_type CHECK (typeof(cost_centre) = 'text' AND instr(cost_centre, char(0)) = 0),
  CONSTRAINT cross_charges_invoice_number_type CHECK (typeof(invoice_number) IN ('text', 'null') AND instr(invoice_number, char(0)) = 0)
);

CREATE TABLE credit_entries (            -- an account's credit in a currency is the sum of its entries
  id          INTEGER     PRIMARY KEY AUTOINCREMENT,
  account_id  BIGINT      NOT NULL REFERENCES accounts,
  currency    CHAR(3)     NOT NULL COLLATE RTRIM REFERENCES currencies,
  delta_minor BIGINT      NOT NULL CONSTRAINT credit_entries_delta_minor_check CHECK (delta_minor <> 0),
  reason      TEXT        NOT NULL CONSTRAINT credit_entries_reason_check CHECK (
                reason IN ('topup', 'spend', 'refund', 'promo', 'adjustment', 'prelaunch_import')),
  occurred_at TIMESTAMPTZ NOT NULL,
  CONSTRAINT credit_entries_account_id_type CHECK (typeof(account_id) = 'integer'),
  CONSTRAINT credit_entries_currency_type CHECK (typeof(currency) = 'text' AND instr(currency, char(0)) = 0 AND length(rtrim(currency)) <= 3),
  CONSTRAINT credit_entries_delta_minor_type CHECK (typeof(delta_minor) = 'integer'),
  CONSTRAINT credit_entries_occurred_at_type CHECK (typeof(occurred_at) = 'text' AND substr(occurred_at, 1, 4) <> '0000'
    AND datetime(substr(occurred_at, 1, 19), '+0 days') IS substr(occurred_at, 1, 19)
    AND substr(occurred_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]')
);
CREATE INDEX credit_entries_account ON credit_entries (account_id, currency);

-- Left behind by the pre-launch user migration (January 2024): what it moved, and what it wrote.
CREATE TABLE legacy_user_map (
  legacy_user_id       BIGINT      NOT NULL PRIMARY KEY,
  account_id           BIGINT      NOT NULL REFERENCES accounts,
  migrated_at          TIMESTAMPTZ NOT NULL,
  written_email        TEXT        NOT NULL,
  written_display_name TEXT        NOT NULL,
  written_created_at   TIMESTAMPTZ NOT NULL,
  written_credit_minor BIGINT      NOT NULL,
  CONSTRAINT legacy_user_map_legacy_user_id_type CHECK (typeof(legacy_user_id) = 'integer'),
  CONSTRAINT legacy_user_map_account_id_type CHECK (typeof(account_id) = 'integer'),
  CONSTRAINT legacy_user_map_migrated_at_type CHECK (typeof(migrated_at) = 'text' AND substr(migrated_at, 1, 4) <> '0000'
    AND datetime(substr(migrated_at, 1, 19), '+0 days') IS substr(migrated_at, 1, 19)
    AND substr(migrated_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]'),
  CONSTRAINT legacy_user_map_written_email_type CHECK (typeof(written_email) = 'text' AND instr(written_email, char(0)) = 0),
  CONSTRAINT legacy_user_map_written_display_name_type CHECK (typeof(written_display_name) = 'text' AND instr(written_display_name, char(0)) = 0),
  CONSTRAINT legacy_user_map_written_created_at_type CHECK (typeof(written_created_at) = 'text' AND substr(written_created_at, 1, 4) <> '0000'
    AND datetime(substr(written_created_at, 1, 19), '+0 days') IS substr(written_created_at, 1, 19)
    AND substr(written_created_at, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]'),
  CONSTRAINT legacy_user_map_written_credit_minor_type CHECK (typeof(written_credit_minor) = 'integer')
);
