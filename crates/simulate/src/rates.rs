//! How often each kind of dirt comes up.

mod groups;

pub use groups::*;

/// Why rates were refused.
#[derive(Debug, thiserror::Error)]
pub enum RatesError {
    /// No TOML, a name that there is not, or no number.
    #[error("{0}; `--rates-out` writes all names with their values")]
    Shape(toml::de::Error),
    /// A share that is none.
    #[error("`{group}.{name}` is a share: it lies between 0 and 1")]
    Share {
        /// The group.
        group: &'static str,
        /// The rate.
        name: &'static str,
    },
}

impl Rates {
    /// Reads rates from TOML; those that it does not name keep their defaults.
    ///
    /// # Errors
    /// What is no TOML, a name that there is not, what is no share.
    pub fn parse(text: &str) -> Result<Self, RatesError> {
        Self::default().overridden(text)
    }

    /// These rates, but for those that a TOML names.
    ///
    /// # Errors
    /// As [`Rates::parse`].
    pub fn overridden(&self, text: &str) -> Result<Self, RatesError> {
        let mut all = toml::Table::try_from(self).expect("groups of numbers have a TOML form");
        for (group, changed) in toml::from_str::<toml::Table>(text).map_err(RatesError::Shape)? {
            match (all.get_mut(&group), changed) {
                (Some(toml::Value::Table(rates)), toml::Value::Table(changed)) => rates.extend(changed),
                (_, changed) => drop(all.insert(group, changed)),
            }
        }
        let rates: Self = all.try_into().map_err(RatesError::Shape)?;
        rates.wrong().map_or(Ok(rates), Err)
    }

    /// All rates as TOML, which [`Rates::parse`] reads.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("groups of numbers have a TOML form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_overrides_what_it_names() {
        let rates = Rates::parse("[user]\nduplicate = 0.5\n").unwrap();
        assert!(rates.user.duplicate == 0.5 && rates.user.test == Rates::default().user.test);
        assert_eq!(Rates::parse(&rates.to_toml()).unwrap(), rates);
        let again = rates.overridden("[user]\ntest = 0.0\n[brand]\nname_missing = 1.0\n");
        assert!(again.unwrap().user.duplicate == 0.5);
    }

    #[test]
    fn names_and_shares_that_are_none_are_refused() {
        let said = |text: &str| Rates::parse(text).unwrap_err().to_string();
        assert!(said("[user]\nduplicates = 0.5\n").contains("duplicates"));
        assert!(said("[users]\n").contains("users"));
        assert!(said("[user]\nduplicate = 2.0\n").contains("`user.duplicate`"));
        assert!(said("[user]\nduplicate = nan\n").contains("`user.duplicate`"));
    }
}
