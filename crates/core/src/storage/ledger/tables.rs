//! diesel's view of the ledger's tables, the same in PostgreSQL (schema `replant`) and in SQLite.

#![allow(missing_docs, reason = "`ledger/` of this crate describes the columns")]

use crate::storage::types::Utc;

diesel::table! {
    use diesel::sql_types::*;
    use super::Utc;
    replant_runs (id) {
        id -> Text,
        environment -> Text,
        version -> Text,
        snapshot_at -> Utc,
        started_at -> Utc,
        ended_at -> Nullable<Utc>,
        state -> Text,
        reason -> Nullable<Text>,
        beat_at -> Nullable<Utc>,
        scope -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Utc;
    replant_steps (name) {
        name -> Text,
        position -> BigInt,
        legacy_table -> Text,
        target_table -> Text,
        legacy_rows -> BigInt,
        legacy_keys -> Binary,
        state -> Text,
        planned_at -> Utc,
        done_at -> Nullable<Utc>,
        parts_done -> BigInt,
        orphans -> Nullable<BigInt>,
        ended_by -> Nullable<Text>,
    }
}

diesel::table! {
    replant_id_blocks (target_table, first_id) {
        step -> Text,
        target_table -> Text,
        first_id -> BigInt,
        ids -> BigInt,
        handed_out -> Text,
        step_by -> BigInt,
        generation -> BigInt,
    }
}

diesel::table! {
    replant_added (step, generation) {
        step -> Text,
        generation -> BigInt,
        keys -> Binary,
    }
}

diesel::table! {
    replant_unread (step, legacy_key) {
        step -> Text,
        legacy_key -> BigInt,
        chunk_id -> BigInt,
    }
}

diesel::table! {
    replant_gone (step) {
        step -> Text,
        keys -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Utc;
    replant_generations (n) {
        n -> BigInt,
        snapshot_at -> Utc,
        begun_at -> Utc,
        ended_at -> Nullable<Utc>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Utc;
    replant_chunks (id) {
        id -> BigInt,
        step -> Text,
        lo -> BigInt,
        hi -> BigInt,
        keys -> BigInt,
        state -> Text,
        owner -> Nullable<Text>,
        epoch -> BigInt,
        lease_until -> Nullable<Utc>,
        attempts -> BigInt,
        reason -> Nullable<Text>,
        rows_read -> BigInt,
        migrated -> BigInt,
        merged -> BigInt,
        skipped -> BigInt,
        quarantined -> BigInt,
        repairs -> BigInt,
        busy_ms -> BigInt,
        done_at -> Nullable<Utc>,
        record -> Nullable<Binary>,
        by_set -> Bool,
        token -> Nullable<Text>,
        digest -> Nullable<Binary>,
        generation -> BigInt,
        carried -> Nullable<Binary>,
        waits -> Bool,
    }
}

diesel::table! {
    replant_imprints (chunk_id, target_table) {
        chunk_id -> BigInt,
        target_table -> Text,
        rows -> BigInt,
        first_id -> Nullable<BigInt>,
        last_id -> Nullable<BigInt>,
        data -> Binary,
        written_by -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Utc;
    replant_verifications (step, verified_at) {
        step -> Text,
        verified_at -> Utc,
        version -> Text,
        generation -> BigInt,
        against -> Text,
        rows -> BigInt,
        equal -> BigInt,
        changed -> BigInt,
        removed -> BigInt,
        added -> BigInt,
        stale -> BigInt,
        unexpected -> BigInt,
        defects -> BigInt,
        unexplained -> BigInt,
    }
}

diesel::table! {
    replant_seen (chunk_id) {
        chunk_id -> BigInt,
        data -> Binary,
    }
}

diesel::table! {
    replant_moved (step, legacy_key) {
        step -> Text,
        legacy_key -> BigInt,
        data -> Binary,
    }
}

diesel::table! {
    replant_money (step, chunk_id, currency) {
        step -> Text,
        chunk_id -> Nullable<BigInt>,
        currency -> Text,
        flow -> Text,
    }
}

diesel::table! {
    replant_outcomes (step, legacy_key) {
        step -> Text,
        legacy_key -> BigInt,
        chunk_id -> BigInt,
        outcome -> Text,
        code -> Nullable<Text>,
        target_table -> Nullable<Text>,
        target_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    replant_repairs (step, legacy_key, code, column_name) {
        step -> Text,
        legacy_key -> BigInt,
        chunk_id -> Nullable<BigInt>,
        by_step -> Nullable<Text>,
        code -> Text,
        column_name -> Text,
        value_before -> Nullable<Text>,
        value_after -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Utc;
    replant_quarantine (step, legacy_key) {
        step -> Text,
        legacy_key -> BigInt,
        chunk_id -> BigInt,
        code -> Text,
        reason -> Text,
        root_step -> Text,
        root_key -> BigInt,
        legacy_row -> Text,
        money -> Text,
        quarantined_at -> Utc,
    }
}

diesel::table! {
    replant_changes (id) {
        id -> BigInt,
        step -> Text,
        chunk_id -> Nullable<BigInt>,
        target_table -> Text,
        target_id -> Nullable<BigInt>,
        target_key -> Nullable<Text>,
        legacy_key -> Nullable<BigInt>,
        what -> Text,
        value_before -> Nullable<Text>,
        value_after -> Nullable<Text>,
        in_imprint -> Bool,
        generation -> BigInt,
    }
}

diesel::table! {
    replant_first (step, legacy_key) {
        step -> Text,
        legacy_key -> BigInt,
        generation -> BigInt,
    }
}

diesel::table! {
    replant_conflicts (id) {
        id -> BigInt,
        step -> Text,
        chunk_id -> Nullable<BigInt>,
        legacy_key -> Nullable<BigInt>,
        target_table -> Text,
        target_id -> Nullable<BigInt>,
        target_key -> Nullable<Text>,
        column_names -> Text,
        generation -> BigInt,
    }
}

diesel::table! {
    replant_frozen (name) {
        name -> Text,
        data -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Utc;
    replant_mends (legacy_table, legacy_key) {
        legacy_table -> Text,
        legacy_key -> BigInt,
        legacy_row -> Text,
        mended_at -> Utc,
        read_as -> Nullable<Text>,
        set_aside -> Nullable<BigInt>,
    }
}

diesel::table! {
    replant_earlier (chunk_id) {
        chunk_id -> BigInt,
        generation -> BigInt,
        data -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Utc;
    replant_erased (legacy_table, legacy_key) {
        legacy_table -> Text,
        legacy_key -> BigInt,
        cells -> Text,
        kept -> Nullable<Text>,
        erased_at -> Utc,
    }
}

diesel::table! {
    replant_erased_rows (target_table, target_id) {
        target_table -> Text,
        target_id -> BigInt,
        mark -> Text,
        held -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(replant_id_blocks, replant_steps);
diesel::allow_tables_to_appear_in_same_query!(replant_gone, replant_steps);
diesel::allow_tables_to_appear_in_same_query!(replant_quarantine, replant_steps);
diesel::allow_tables_to_appear_in_same_query!(
    replant_chunks,
    replant_outcomes,
    replant_quarantine,
    replant_repairs,
    replant_money
);
