//! What the JSON of a transaction's `meta` names.

use replant_clean as clean;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// The normalised address that the JSON of `meta` names. What cannot be parsed names nobody.
pub(crate) fn email_in(meta: &str) -> Option<String> {
    let Ok(Meta(Some(Value::String(email)))) = serde_json::from_str(meta) else { return None };
    clean::email(&email)
}

/// The field `email` of a JSON object. The others are passed over: half a surrogate, or a number that is too large, makes
/// none of them unreadable.
struct Meta(Option<Value>);

impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Meta;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Meta, A::Error> {
                let mut email = None;
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "email" => email = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Meta(email))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_parsed_names_somebody() {
        for (meta, email) in [
            (r#"{"email":"Ann@Web.de"}"#, Some("ann@web.de")),
            (r#"{"note":"thanks \ud83c","email":"ann@web.de"}"#, Some("ann@web.de")),
            (r#"{"n":1e400,"email":"ann@web.de","m":[{}]}"#, Some("ann@web.de")),
            (r#"{"email":"a@b.de","email":"ann@web.de"}"#, Some("ann@web.de")),
            (r#"{"email":"ann@web.de""#, None),
            (r#"{"email":"ann@web.de"} x"#, None),
            (r#"["ann@web.de"]"#, None),
            (r#"{"user":{"email":"ann@web.de"}}"#, None),
            (r#"{"email":["ann@web.de"]}"#, None),
            (r#""ann@web.de""#, None),
            ("", None),
        ] {
            assert_eq!(email_in(meta).as_deref(), email, "{meta}");
        }
    }
}
