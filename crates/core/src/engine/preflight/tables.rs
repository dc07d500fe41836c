//! Tables, as the catalogue is asked for them.

/// A table as the catalogue is asked for it: of the platform's schema, unless its name says another one.
const TABLE: &str = "to_regclass(CASE WHEN n.name LIKE '%.%' THEN format('%I.%I', split_part(n.name, '.', 1), split_part(n.name, '.', 2)) ELSE format('%s.%I', current_setting('replant.schema'), n.name) END)";

/// A query over the tables that `$1` names, as `n.name`, each with its oid as `n.oid`; those that are not there are left out.
pub(super) fn over_tables(select: &str) -> String {
    format!("WITH named AS (SELECT n.name, {TABLE} AS oid FROM unnest($1::text[]) AS n(name)) {select}")
}
