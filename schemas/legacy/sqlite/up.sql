-- The legacy More Trees database in SQLite, for demos and tests: the tables, columns and indexes of ../mariadb/up.sql. It
-- takes any rubbish, as the original does: no column is checked. Declared types are those of MariaDB, but for DATETIME:
-- it is TEXT, `YYYY-MM-DD HH:MM:SS`, zero dates included (a DATETIME of SQLite would turn what looks like a number into one).
-- MariaDB compares text without regard to case and trailing blanks; SQLite compares it byte by byte.

CREATE TABLE meta (  -- snapshot_at (UTC, ISO 8601), app_timezone (Europe/London)
  name  VARCHAR(64)  NOT NULL PRIMARY KEY,
  value VARCHAR(255) NOT NULL
);

CREATE TABLE user (
  id               INTEGER PRIMARY KEY,
  email            VARCHAR(255),
  first_name       VARCHAR(120),
  last_name        VARCHAR(120),
  display_name     VARCHAR(200),
  phone            VARCHAR(40),
  country          VARCHAR(80),   -- free text
  lang             VARCHAR(10),
  password         VARCHAR(255),  -- bcrypt, old md5, or plain rubbish
  type             VARCHAR(20),   -- 'user', 'USER', 'brand', 'Brand ', 'admin', 'test', ''
  credits          FLOAT,         -- drifted away from credit_entry years ago
  marketing_opt_in VARCHAR(8),
  deleted          TINYINT,
  created_when     TEXT,
  updated_when     TEXT,
  last_login       VARCHAR(32),
  notes            TEXT
);
CREATE INDEX user_email ON user (email);

CREATE TABLE brand (
  id             INTEGER PRIMARY KEY,
  user_id        INT UNSIGNED,
  name           VARCHAR(200),
  vat_no         VARCHAR(40),
  billing        VARCHAR(20),  -- 'card', 'invoice', 'cross charge', 'XC', ''
  currency       VARCHAR(8),
  price_per_tree VARCHAR(16),  -- '0.60', '£0.60', '60p'
  group_name     VARCHAR(120),
  created_when   TEXT
);

CREATE TABLE project (  -- planting projects
  id      INTEGER PRIMARY KEY,
  name    VARCHAR(200),
  country VARCHAR(80),
  species TEXT,  -- 'Rhizophora mucronata; Avicennia marina'
  lat     VARCHAR(32),
  lng     VARCHAR(32),
  active  VARCHAR(8)
);

CREATE TABLE plantation (  -- one planting: some trees, by someone, in a project
  id                     INTEGER PRIMARY KEY,
  user_id                INT UNSIGNED,
  brand_id               INT UNSIGNED,
  project_id             INT UNSIGNED,
  trees                  INT,
  source                 VARCHAR(20),
  gift_email             VARCHAR(255),
  gift_message           TEXT,
  cost                   FLOAT,
  currency               VARCHAR(8),
  finance_transaction_id BIGINT UNSIGNED,
  status                 VARCHAR(16),
  planted_when           TEXT,
  created_when           TEXT
);
CREATE INDEX plantation_user ON plantation (user_id);

CREATE TABLE finance_transaction (
  id              INTEGER PRIMARY KEY,
  user_id         INT UNSIGNED,
  brand_id        INT UNSIGNED,
  type            VARCHAR(20),
  amount          VARCHAR(32),
  currency        VARCHAR(8),
  status          VARCHAR(20),
  gateway         VARCHAR(20),
  gateway_ref     VARCHAR(80),
  parent_id       BIGINT UNSIGNED,  -- of a refund: the transaction refunded
  subscription_id INT UNSIGNED,
  invoice_no      VARCHAR(32),
  tx_when         TEXT,             -- the only DATETIME column that is UTC
  created_when    TEXT,
  meta            TEXT              -- JSON, sometimes cut off
);
CREATE INDEX finance_transaction_user ON finance_transaction (user_id);
CREATE INDEX finance_transaction_ref ON finance_transaction (gateway_ref);

CREATE TABLE subscription (
  id                INTEGER PRIMARY KEY,
  user_id           INT UNSIGNED,
  plan              VARCHAR(40),
  trees_per_month   INT,
  amount            VARCHAR(32),
  currency          VARCHAR(8),
  "interval"        VARCHAR(12),
  status            VARCHAR(16),
  started_when      TEXT,
  next_billing_when TEXT,
  cancelled_when    TEXT,
  gateway_ref       VARCHAR(80)
);

CREATE TABLE invoice (
  id         INTEGER PRIMARY KEY,
  invoice_no VARCHAR(32),  -- 'MT-10123', 'mt10123', 'MT 10123'
  user_id    INT UNSIGNED,
  total      VARCHAR(32),
  currency   VARCHAR(8),
  issued     VARCHAR(20),
  due        VARCHAR(20),
  paid       VARCHAR(8)
);

CREATE TABLE bank_transfer (  -- kept by hand by finance; most never reached finance_transaction
  id                     INTEGER PRIMARY KEY,
  user_id                INT UNSIGNED,
  payer_name             VARCHAR(200),
  payer_email            VARCHAR(255),
  reference              VARCHAR(255),
  amount                 VARCHAR(32),
  currency               VARCHAR(8),
  received               VARCHAR(20),
  finance_transaction_id BIGINT UNSIGNED,
  status                 VARCHAR(16),
  notes                  TEXT
);

CREATE TABLE cross_charge (  -- trees that brands of a group are charged for internally
  id           INTEGER PRIMARY KEY,
  brand_id     INT UNSIGNED,
  brand_name   VARCHAR(200),
  period       VARCHAR(16),  -- '2023-07', '07/2023', 'Jul-23', 'July 2023', 'Q3 2023'
  trees        INT,
  unit_price   VARCHAR(16),
  total        VARCHAR(32),
  currency     VARCHAR(8),
  cost_centre  VARCHAR(40),
  invoice_no   VARCHAR(32),
  revision     INT,
  status       VARCHAR(16),
  created_when TEXT
);

CREATE TABLE credit_entry (  -- the ledger behind an account's credit
  id           INTEGER PRIMARY KEY,
  user_id      INT UNSIGNED,
  delta        VARCHAR(32),
  currency     VARCHAR(8),
  reason       VARCHAR(20),
  ref_type     VARCHAR(20),
  ref_id       BIGINT UNSIGNED,
  created_when TEXT
);
CREATE INDEX credit_entry_user ON credit_entry (user_id);
