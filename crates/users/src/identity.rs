//! Who is who: users and platform accounts that are one person form a group (rules: Users, 1 to 3).

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use jiff::tz::Offset;
use petgraph::unionfind::UnionFind;
use replant_clean::{self as clean, Snapshot};
use replant_core::prelude::*;
use replant_core::{Refusal, StepPlan};
use rustc_hash::FxHashSet;

use crate::codes::End;
use crate::emails::Emails;
use crate::legacy::{Activity, Identifying, Paid, Planted, Subscribed};
use crate::platform::{Opened, Platform, PlatformAccount};

/// How addresses of test accounts end (rules: Users, 1).
pub(crate) const TEST_DOMAINS: [&str; 2] = ["@example.com", "@moretrees.test"];

/// The normalised e-mail of a user who is to have an account.
///
/// # Errors
/// A test account is skipped, an e-mail that is none quarantined (rules: Users, 1).
pub(crate) fn judge(kind: &Cell<String>, email: &Cell<String>) -> Result<String, Refusal> {
    let kind = kind.text("type")?.and_then(|raw| clean::text(raw).value);
    let email = email.text("email")?.and_then(clean::email);
    let test_domain = |email: &String| TEST_DOMAINS.iter().any(|domain| email.ends_with(domain));
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("test")) || email.as_ref().is_some_and(test_domain) {
        return Err(Refusal::skip(End::TestAccount));
    }
    email.ok_or_else(|| Refusal::quarantine(End::EmailInvalid, "the e-mail is absent or cannot be one"))
}

/// A group that has a platform account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group<'a> {
    /// The group's account.
    pub(crate) account: &'a PlatformAccount,
    /// The accounts that go into it.
    pub(crate) others: Vec<i64>,
}

/// Groups, and what a group cannot tell from its own rows.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    /// Users that are one person with a user of a lower id.
    pub followers: Followers,
    /// The platform's accounts.
    accounts: Vec<PlatformAccount>,
    /// The places of accounts, group by group: the one that stays stands first.
    members: Vec<u32>,
    /// The lowest legacy user of each group with platform accounts, ascending, and which members those are.
    groups: Vec<(Key, Range<u32>)>,
    /// Groups of several platform accounts and no user.
    without_users: Vec<Range<u32>>,
    /// `legacy_user_map`: account and legacy user, ascending.
    map: Vec<(i64, Key)>,
    earliest: Earliest,
}

/// A hash that stands for an e-mail: two that meet by chance are not to be expected in the lifetime of a company.
pub(crate) fn hashed(email: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(email.as_bytes())
}

/// Does two things at once: until users are there, nearly everything else waits.
fn side_by_side<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        (one(), other.join().unwrap_or_else(|defect| resume_unwind(defect)))
    })
}

impl Identity {
    /// Reads the users and the platform.
    ///
    /// # Errors
    /// A source cannot be read.
    pub(crate) fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let expected = usize::try_from(cx.plan().keys.len()).unwrap_or_default();
        let (identity, earliest) = side_by_side(
            || {
                let groups = Groups::read(cx, expected)?;
                cx.offer(Emails::of_groups(&groups));
                Ok::<_, PrepareError>(Self::of(groups))
            },
            || Earliest::read(cx),
        );
        Ok(Self { earliest: earliest?, ..identity? })
    }

    /// What a unit has to know of its group.
    fn of(mut groups: Groups) -> Self {
        drop(std::mem::take(&mut groups.nodes));
        let users = groups.users.iter().zip(&groups.nodes_of_users);
        let led = users.filter_map(|(key, node)| Some((groups.leader(groups.group_of[*node as usize])?, *key)));
        let followers = led.filter(|(leader, key)| leader != key).collect();
        let mut identity = Self { followers, ..Self::default() };
        let mut from = 0;
        for members in groups.members.chunk_by(|a, b| a.0 == b.0) {
            let to = from + as_u32(members.len());
            match groups.leader(members[0].0) {
                Some(leader) => identity.groups.push((leader, from..to)),
                None if members.len() > 1 => identity.without_users.push(from..to),
                None => {}
            }
            from = to;
        }
        identity.groups.sort_unstable_by_key(|(leader, _)| *leader);
        identity.members = groups.members.iter().map(|(_, place)| *place).collect();
        identity.without_users.sort_unstable_by_key(|members| identity.members[members.start as usize]);
        let mut map: Vec<(i64, Key)> = groups.platform.map.iter().map(|(user, account)| (*account, *user)).collect();
        map.sort_unstable();
        identity.map = map;
        identity.accounts = groups.platform.accounts;
        identity
    }

    /// The group of the users of which `leader` is the lowest; none where it has no platform account.
    pub(crate) fn group(&self, leader: Key) -> Option<Group<'_>> {
        let place = self.groups.binary_search_by_key(&leader, |(key, _)| *key).ok()?;
        Some(self.group_at(&self.groups[place].1))
    }

    /// Groups of several platform accounts and no user.
    pub(crate) fn count_without_users(&self) -> usize {
        self.without_users.len()
    }

    /// Some of these groups, by their places, which are those of the accounts that stay; none beyond the last.
    pub(crate) fn without_users(&self, places: Range<usize>) -> impl Iterator<Item = Group<'_>> {
        let last = self.without_users.len();
        let places = places.start.min(last)..places.end.min(last);
        self.without_users[places].iter().map(|members| self.group_at(members))
    }

    /// Of some accounts, those of groups with users.
    pub(crate) fn with_users(&self, accounts: &FxHashSet<i64>) -> FxHashSet<i64> {
        let members =
            self.groups.iter().flat_map(|(_, members)| &self.members[members.start as usize..members.end as usize]);
        let ids = members.map(|place| self.accounts[*place as usize].id);
        ids.filter(|id| accounts.contains(id)).collect()
    }

    /// Who opened an account; one that was not there when the platform was read is a customer's.
    pub(crate) fn opened(&self, account: i64) -> Opened {
        let known = self.accounts.binary_search_by_key(&account, |known| known.id);
        known.map_or(Opened::Native, |place| self.accounts[place].opened)
    }

    fn group_at(&self, members: &Range<u32>) -> Group<'_> {
        let account = |place: &u32| &self.accounts[*place as usize];
        let members = &self.members[members.start as usize..members.end as usize];
        Group { account: account(&members[0]), others: members[1..].iter().map(|place| account(place).id).collect() }
    }

    /// The legacy users whose values the pre-launch migration wrote into an account, ascending.
    pub(crate) fn written_into(&self, account: i64) -> Vec<Key> {
        let from = self.map.partition_point(|(id, _)| *id < account);
        self.map[from..].iter().take_while(|(id, _)| *id == account).map(|(_, user)| *user).collect()
    }

    /// The earliest known time of what a user did.
    pub(crate) fn earliest(&self, key: Key) -> Option<Timestamp> {
        self.earliest.of(key)
    }
}

/// The groups that addresses, `legacy_user_map` and `account_emails` form (rules: Users, 2). Accounts and addresses are
/// nodes, each with a number; a group is known by the number of one of its nodes.
pub(crate) struct Groups {
    platform: Platform,
    nodes: Nodes,
    /// The group of each node.
    group_of: Vec<u32>,
    /// Users who are to have an account, ascending, and the nodes of their addresses.
    users: Vec<Key>,
    nodes_of_users: Vec<u32>,
    /// The place of the lowest user, by group.
    leaders: Vec<u32>,
    /// The places of accounts that stand for themselves, by group: the native ones stand first, then those of the lowest ids.
    members: Vec<(u32, u32)>,
}

/// Nobody's place.
const NOBODY: u32 = u32::MAX;

fn as_u32(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 accounts and addresses")
}

impl Groups {
    /// Reads the users and the platform as it was first seen. About as many users as `expected` are there.
    ///
    /// # Errors
    /// A source cannot be read.
    pub(crate) fn read(cx: &Prepare<'_>, expected: usize) -> Result<Self, PrepareError> {
        let platform = cx.frozen::<Platform>()?;
        let mut users = Addressed::with_capacity(expected);
        cx.scan(|user: Identifying| {
            if let Ok(email) = judge(&user.kind, &user.email) {
                users.push(user.id, &email);
            }
        })?;
        Ok(Self::form(platform, users))
    }

    /// Forms the groups. Half of the company's people are in these lists, so each goes as soon as it can.
    pub(crate) fn form(platform: Platform, users: Addressed) -> Self {
        let stands = |account: &i64| platform.standing_for(*account);
        let addresses = platform.addresses();
        let nodes = {
            let is_new = |id: &i64| platform.accounts.binary_search_by_key(id, |account| account.id).is_err();
            let mut ids: Vec<i64> = platform.accounts.iter().map(|account| account.id).collect();
            ids.extend(addresses.keys.iter().filter(|id| is_new(id)));
            ids.extend(platform.map.iter().map(|(_, account)| stands(account)).filter(is_new));
            Nodes::new(ids, [&users.addresses[..], &addresses.addresses].concat())
        };
        let Addressed { keys: users, addresses: of_users } = users;
        let nodes_of_users: Vec<u32> = of_users.iter().map(|hash| nodes.address(*hash)).collect();
        drop(of_users);

        let mut joined = UnionFind::new(nodes.len());
        for (account, hash) in addresses.keys.iter().zip(&addresses.addresses) {
            joined.union(nodes.account(*account), nodes.address(*hash));
        }
        drop(addresses);
        for (user, account) in &platform.map {
            if let Ok(place) = users.binary_search(user) {
                joined.union(nodes_of_users[place], nodes.account(stands(account)));
            }
        }
        let group_of = joined.into_labeling();

        let mut leaders = vec![NOBODY; nodes.len()];
        for (place, node) in nodes_of_users.iter().enumerate().rev() {
            leaders[group_of[*node as usize] as usize] = as_u32(place);
        }
        let accounts = platform.accounts.iter().enumerate().filter(|(_, account)| account.merged_into.is_none());
        let group = |account: &PlatformAccount| group_of[nodes.account(account.id) as usize];
        let mut members: Vec<(u32, u32)> = accounts.map(|(place, account)| (group(account), as_u32(place))).collect();
        members.sort_unstable_by_key(|(group, place)| {
            (*group, platform.accounts[*place as usize].opened == Opened::PreLaunch, *place)
        });
        Self { platform, nodes, group_of, users, nodes_of_users, leaders, members }
    }

    /// The lowest user of a group.
    fn leader(&self, group: u32) -> Option<Key> {
        self.users.get(self.leaders[group as usize] as usize).copied()
    }

    /// Every address, hashed, with the lowest user and the account of its group.
    pub(crate) fn addresses(&self) -> impl ExactSizeIterator<Item = (u128, Option<Key>, Option<i64>)> {
        self.nodes.addresses().map(|(hash, node)| {
            let group = self.group_of[node as usize];
            let first = self.members.get(self.members.partition_point(|(of, _)| *of < group));
            let account =
                first.filter(|(of, _)| *of == group).map(|(_, place)| self.platform.accounts[*place as usize].id);
            (hash, self.leader(group), account)
        })
    }
}

/// Users, or accounts, each with a hashed address.
#[derive(Default)]
pub(crate) struct Addressed {
    keys: Vec<Key>,
    addresses: Vec<u128>,
}

impl Addressed {
    /// None yet, with room for `expected`.
    pub(crate) fn with_capacity(expected: usize) -> Self {
        Self { keys: Vec::with_capacity(expected), addresses: Vec::with_capacity(expected) }
    }

    /// Adds one with a normalised address. Users come in the order of their keys.
    pub(crate) fn push(&mut self, key: Key, email: &str) {
        self.keys.push(key);
        self.addresses.push(hashed(email));
    }
}

impl Platform {
    /// Every address that can be normalised, with the account that it leads to.
    fn addresses(&self) -> Addressed {
        let mut addresses = Addressed::with_capacity(self.accounts.len() + self.emails.len());
        for account in self.accounts.iter().filter(|account| account.merged_into.is_none()) {
            if let Some(email) = clean::email(&account.email) {
                addresses.push(account.id, &email);
            }
        }
        for (email, account) in &self.emails {
            if let Some(email) = clean::email(email) {
                addresses.push(self.standing_for(*account), &email);
            }
        }
        addresses
    }
}

/// Accounts and addresses, numbered in this order. Lists rather than a map: half of the company's people are in them.
#[derive(Default)]
struct Nodes {
    /// Ascending.
    accounts: Vec<i64>,
    /// Hashed, ascending.
    addresses: Vec<u128>,
}

impl Nodes {
    fn new(mut accounts: Vec<i64>, mut addresses: Vec<u128>) -> Self {
        accounts.sort_unstable();
        accounts.dedup();
        addresses.sort_unstable();
        addresses.dedup();
        Self { accounts, addresses }
    }

    fn len(&self) -> usize {
        self.accounts.len() + self.addresses.len()
    }

    /// The number of an account that is among them.
    fn account(&self, id: i64) -> u32 {
        as_u32(self.accounts.binary_search(&id).expect("every account has a number"))
    }

    /// The number of an address that is among them.
    fn address(&self, hash: u128) -> u32 {
        as_u32(self.accounts.len() + self.addresses.binary_search(&hash).expect("every address has a number"))
    }

    /// The addresses with their numbers.
    fn addresses(&self) -> impl ExactSizeIterator<Item = (u128, u32)> {
        let first = self.accounts.len();
        self.addresses.iter().enumerate().map(move |(place, hash)| (*hash, as_u32(first + place)))
    }
}

/// The earliest known activity of each user: four bytes a user.
#[derive(Debug, Default)]
struct Earliest {
    plan: Option<Arc<StepPlan>>,
    /// Seconds since the first one that can be true, by the user's place among the keys.
    seconds: Vec<AtomicU32>,
}

/// Times before it are implausible (rules: Time).
const FIRST: i64 = 1_420_070_400;
const NONE: u32 = u32::MAX;
/// In seconds.
const HOUR: i64 = 3_600;

impl Earliest {
    fn read(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let plan = cx.plan();
        let users = usize::try_from(plan.keys.len()).expect("the keys fit into memory");
        let seconds = std::iter::repeat_with(|| AtomicU32::new(NONE)).take(users).collect();
        let earliest = Self { plan: Some(plan), seconds };
        let (planted, others) = side_by_side(
            || earliest.take::<Planted>(cx),
            || earliest.take::<Paid>(cx).and_then(|()| earliest.take::<Subscribed>(cx)),
        );
        planted.and(others)?;
        Ok(earliest)
    }

    fn take<A: Activity>(&self, cx: &Prepare<'_>) -> Result<(), PrepareError> {
        let snapshot = Snapshot(cx.snapshot());
        cx.scan(|activity: A| {
            let (Some(user), Some(Wall(wall))) = (activity.user(), activity.wall()) else { return };
            let Some(place) = self.place(user) else { return };
            // In London it is never later than in UTC, and an hour earlier at the most: most activities are not the first.
            let Ok(latest) = Offset::UTC.to_timestamp(wall) else { return };
            if latest.as_second() - FIRST - HOUR > i64::from(self.seconds[place].load(Ordering::Relaxed)) {
                return;
            }
            let known =
                if A::IS_UTC { reference::known_utc(wall, snapshot) } else { reference::known_london(wall, snapshot) };
            if let Some(at) = known {
                let seconds = u32::try_from(at.as_second() - FIRST).unwrap_or(NONE);
                self.seconds[place].fetch_min(seconds, Ordering::Relaxed);
            }
        })
    }

    fn place(&self, key: Key) -> Option<usize> {
        let place = self.plan.as_ref()?.keys.rank(key)?;
        usize::try_from(place).ok()
    }

    fn of(&self, key: Key) -> Option<Timestamp> {
        let seconds = self.seconds.get(self.place(key)?)?.load(Ordering::Relaxed);
        (seconds != NONE).then(|| Timestamp::from_second(FIRST + i64::from(seconds)).ok()).flatten()
    }
}
