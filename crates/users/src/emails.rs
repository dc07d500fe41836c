//! Whose an address is: what later domains ask where a row names nobody but an e-mail.

use replant_core::prelude::*;

use crate::identity::{Groups, hashed};

/// Who stands for the group that an e-mail names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailOwner {
    /// The group's lowest legacy user: the standings of [`crate::Accounts`] tell the account.
    User(Key),
    /// A group of platform accounts alone: the one that stays.
    Account(i64),
}

/// Normalised e-mails, and the group that each names: an address of a legacy user who is to have an account, of a platform
/// account, or of `account_emails` (rules: Users, 2). Sixteen bytes an address: sixty-four bits of its hash stand for it,
/// so that of ten million addresses a foreign one meets one by chance once in 10^12 questions.
#[derive(Debug, Default)]
pub struct Emails {
    users: Vec<(u64, Key)>,
    accounts: Vec<(u64, i64)>,
}

/// The half of an address's hash that is kept.
fn half(hash: u128) -> u64 {
    (hash >> 64) as u64
}

impl Lookup for Emails {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        Ok(Self::of_groups(&Groups::read(cx, 0)?))
    }
}

impl Emails {
    pub(crate) fn of_groups(groups: &Groups) -> Self {
        let addresses = groups.addresses();
        // Nearly all of them are users': a list that grows would be there twice.
        let mut emails = Self { users: Vec::with_capacity(addresses.len()), accounts: Vec::new() };
        for (hash, user, account) in addresses {
            match (user, account) {
                (Some(user), _) => emails.users.push((half(hash), user)),
                (None, Some(account)) => emails.accounts.push((half(hash), account)),
                (None, None) => {}
            }
        }
        emails.users.sort_unstable();
        emails.users.shrink_to_fit();
        emails.accounts.sort_unstable();
        emails.accounts.shrink_to_fit();
        emails
    }

    /// Whose address it is. `email` is one that [`clean::email`](replant_clean::email) returned.
    pub fn of(&self, email: &str) -> Option<EmailOwner> {
        let hash = half(hashed(email));
        let find = |among: &[(u64, i64)]| {
            let place = among.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
            Some(among[place].1)
        };
        find(&self.users).map(EmailOwner::User).or_else(|| find(&self.accounts).map(EmailOwner::Account))
    }

    /// The account of the group that a normalised e-mail names; none where nobody has it, or where the user whose it is has no
    /// account. `users`: the standings of [`crate::Accounts`].
    pub fn account(&self, users: &Standings, email: &str) -> Option<i64> {
        match self.of(email)? {
            EmailOwner::Account(id) => Some(id),
            EmailOwner::User(key) => match users.of(Some(key)) {
                Standing::Live(id) => Some(id),
                Standing::Skipped | Standing::Quarantined(_) | Standing::Missing => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Addressed;
    use crate::platform::{Opened, Platform, PlatformAccount};

    fn account(id: i64, email: &str, opened: Opened, merged_into: Option<i64>) -> PlatformAccount {
        let held = crate::platform::Held::default();
        PlatformAccount { id, email: email.into(), country: None, merged_into, opened, held }
    }

    /// The addresses of a platform and of users, who are named by key and normalised address.
    fn emails(platform: &Platform, users: &[(Key, &str)]) -> Emails {
        let mut hashed = Addressed::default();
        users.iter().for_each(|(key, email)| hashed.push(*key, email));
        Emails::of_groups(&Groups::form(platform.clone(), hashed))
    }

    fn platform() -> Platform {
        Platform {
            accounts: vec![
                account(1, "Native@Trees.org", Opened::Native, None),
                account(2, "native@trees.ORG", Opened::PreLaunch, None),
                account(3, "went@trees.org", Opened::Native, Some(4)),
                account(4, "stays@trees.org", Opened::Native, None),
                account(5, "alone@googlemail.com", Opened::Native, None),
                account(6, "no address", Opened::PreLaunch, None),
            ],
            map: vec![(30, 6)],
            emails: vec![("other@trees.org".to_owned(), 3)],
        }
    }

    #[test]
    fn an_address_leads_to_the_lowest_user_of_its_group_or_to_the_account_that_stays() {
        let users = [(10, "ann@trees.org"), (20, "ann@trees.org"), (30, "bob@trees.org"), (40, "other@trees.org")];
        let emails = emails(&platform(), &users);
        for (email, expect) in [
            ("ann@trees.org", Some(EmailOwner::User(10))),
            ("bob@trees.org", Some(EmailOwner::User(30))),
            // An address of account_emails, of an account that went into another one, and the address of that one.
            ("other@trees.org", Some(EmailOwner::User(40))),
            ("stays@trees.org", Some(EmailOwner::User(40))),
            // Accounts alone: the native one of two, and one by itself, by its normalised address.
            ("native@trees.org", Some(EmailOwner::Account(1))),
            ("alone@gmail.com", Some(EmailOwner::Account(5))),
            // The own address of an account that went into another one names nobody.
            ("went@trees.org", None),
            ("nobody@trees.org", None),
        ] {
            assert_eq!(emails.of(email), expect, "{email}");
        }
    }

    #[test]
    fn what_account_emails_says_of_accounts_alone_counts_for_the_one_that_stands() {
        let emails = emails(&platform(), &[]);
        assert_eq!(emails.of("other@trees.org"), Some(EmailOwner::Account(4)));
        assert_eq!(emails.of("bob@trees.org"), None);
    }
}
