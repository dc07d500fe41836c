//! The tables of the platform that are filled, as COPY has to know them.

macro_rules! tables {
    ($($name:ident ($key:ident $(, $more:ident)*) { $($column:ident: $kind:ident,)* })*) => {
        $(diesel::table! { $name ($key $(, $more)*) { $($column -> $kind,)* } })*
    };
}

tables! {
    currencies (code) {
        code: Text,
        exponent: SmallInt,
    }
    countries (code) {
        code: Text,
        name: Text,
    }
    projects (id) {
        id: BigInt,
        slug: Text,
        name: Text,
        country_code: Text,
        latitude: Double,
        longitude: Double,
        active: Bool,
    }
    project_species (project_id, species) {
        project_id: BigInt,
        species: Text,
    }
    accounts (id) {
        id: BigInt,
        kind: Text,
        email: Text,
        display_name: Text,
        given_name: Text,
        family_name: Text,
        phone: Text,
        country_code: Text,
        locale: Text,
        password_hash: Text,
        marketing_consent: Bool,
        status: Text,
        merged_into: BigInt,
        created_at: Timestamptz,
        last_seen_at: Timestamptz,
        updated_at: Timestamptz,
    }
    account_emails (email) {
        email: Text,
        account_id: BigInt,
    }
    legacy_user_map (legacy_user_id) {
        legacy_user_id: BigInt,
        account_id: BigInt,
        migrated_at: Timestamptz,
        written_email: Text,
        written_display_name: Text,
        written_created_at: Timestamptz,
        written_credit_minor: BigInt,
    }
    subscriptions (id) {
        id: BigInt,
        account_id: BigInt,
        plan: Text,
        trees_per_cycle: Integer,
        amount_minor: BigInt,
        currency: Text,
        cycle: Text,
        status: Text,
        gateway_ref: Text,
        started_at: Timestamptz,
        next_billing_at: Timestamptz,
        cancelled_at: Timestamptz,
    }
    payments (id) {
        id: BigInt,
        account_id: BigInt,
        method: Text,
        status: Text,
        amount_minor: BigInt,
        currency: Text,
        gateway: Text,
        gateway_ref: Text,
        subscription_id: BigInt,
        paid_at: Timestamptz,
    }
    refunds (id) {
        id: BigInt,
        payment_id: BigInt,
        amount_minor: BigInt,
        reason: Text,
        refunded_at: Timestamptz,
    }
    plantings (id) {
        id: BigInt,
        account_id: BigInt,
        brand_id: BigInt,
        project_id: BigInt,
        payment_id: BigInt,
        kind: Text,
        status: Text,
        trees: Integer,
        cost_minor: BigInt,
        currency: Text,
        recipient_email: Text,
        recipient_account_id: BigInt,
        message: Text,
        planted_at: Timestamptz,
    }
    credit_entries (id) {
        id: BigInt,
        account_id: BigInt,
        currency: Text,
        delta_minor: BigInt,
        reason: Text,
        occurred_at: Timestamptz,
    }
}
