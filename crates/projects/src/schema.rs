//! The tables: `project` is the legacy one, the others are the platform's.

diesel::table! {
    project (id) {
        id -> BigInt,
        name -> Text,
        country -> Text,
        species -> Text,
        lat -> Text,
        lng -> Text,
        active -> Text,
    }
}

diesel::table! {
    projects (id) {
        id -> BigInt,
        slug -> Text,
        name -> Text,
        country_code -> Nullable<Text>,
        latitude -> Nullable<Double>,
        longitude -> Nullable<Double>,
        active -> Bool,
    }
}

diesel::table! {
    project_species (project_id, species) {
        project_id -> BigInt,
        species -> Text,
    }
}
