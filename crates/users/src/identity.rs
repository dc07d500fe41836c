//! Who is who: users and platform accounts that are one person form a group (rules: Users, 1 to 3).

use std::hash::Hash;

use jiff::Timestamp;
use petgraph::unionfind::UnionFind;
use replant_clean::{self as clean, Snapshot};
use replant_core::prelude::*;
use replant_core::{Refusal, StepPlan};
use rustc_hash::FxHashMap;

use crate::codes::End;
use crate::legacy::{Activity, Identifying, Paid, Planted, Subscribed};
use crate::platform::{Opened, Platform, PlatformAccount};

/// The normalised e-mail of a user who is to have an account.
///
/// # Errors
/// A test account is skipped, an e-mail that is none quarantined (rules: Users, 1).
pub(crate) fn judge(kind: &Cell<String>, email: &Cell<String>) -> Result<String, Refusal> {
    let kind = kind.text("type")?.and_then(|raw| clean::text(raw).value);
    let email = email.text("email")?.and_then(clean::email);
    let test_domain = |email: &String| email.ends_with("@example.com") || email.ends_with("@moretrees.test");
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("test")) || email.as_ref().is_some_and(test_domain) {
        return Err(Refusal::skip(End::TestAccount));
    }
    email.ok_or_else(|| Refusal::quarantine(End::EmailInvalid, "the e-mail is absent or cannot be one"))
}

/// A group that has a platform account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// The group's account.
    pub(crate) account: PlatformAccount,
    /// The accounts that go into it.
    pub(crate) others: Vec<i64>,
}

/// Groups, and what a group cannot tell from its own rows.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    /// Users that are one person with a user of a lower id.
    pub followers: Followers,
    /// Groups with platform accounts, by the lowest legacy user.
    pub groups: FxHashMap<Key, Group>,
    /// Groups of several platform accounts and no user.
    pub without_users: Vec<Group>,
    earliest: Earliest,
}

/// A hash that stands for an e-mail: two that meet by chance are not to be expected in the lifetime of a company.
pub(crate) fn hashed(email: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(email.as_bytes())
}

impl Identity {
    /// Reads the users and the platform.
    ///
    /// # Errors
    /// A source cannot be read.
    pub(crate) fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let mut identity = Self::of(Groups::read(cx)?);
        identity.earliest = Earliest::read(cx)?;
        Ok(identity)
    }

    /// What a unit has to know of its group.
    fn of(groups: Groups) -> Self {
        let mut identity = Self::default();
        for (key, address) in &groups.users {
            if let Some(leader) = groups.leader(*address)
                && leader != *key
            {
                identity.followers.insert(leader, *key);
            }
        }
        for (root, group) in groups.accounts {
            match groups.leaders.get(&root) {
                Some(leader) => {
                    identity.groups.insert(*leader, group);
                }
                None if !group.others.is_empty() => identity.without_users.push(group),
                None => {}
            }
        }
        identity.without_users.sort_unstable_by_key(|group| group.account.id);
        identity
    }

    /// The earliest known time of what a user did.
    pub(crate) fn earliest(&self, key: Key) -> Option<Timestamp> {
        self.earliest.of(key)
    }
}

/// The groups that addresses, `legacy_user_map` and `account_emails` form (rules: Users, 2).
pub(crate) struct Groups {
    nodes: FxHashMap<Node, u32>,
    joined: UnionFind<u32>,
    /// Users who are to have an account, by key, with the node of their address.
    users: Vec<(Key, u32)>,
    /// The lowest user, by the group's root.
    leaders: FxHashMap<u32, Key>,
    /// The accounts, by the group's root.
    accounts: FxHashMap<u32, Group>,
}

impl Groups {
    /// Reads the users and the platform as it was first seen.
    ///
    /// # Errors
    /// A source cannot be read.
    pub(crate) fn read(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let platform = cx.frozen::<Platform>()?;
        let mut users: Vec<(Key, u128)> = Vec::new();
        cx.scan(|user: Identifying| {
            if let Ok(email) = judge(&user.kind, &user.email) {
                users.push((user.id, hashed(&email)));
            }
        })?;
        Ok(Self::form(&platform, &users))
    }

    /// Forms the groups. `users`: valid ones by key, with their hashed e-mails.
    pub(crate) fn form(platform: &Platform, users: &[(Key, u128)]) -> Self {
        let mut nodes = Nodes::default();
        let mut accounts: Vec<(u32, &PlatformAccount)> = Vec::with_capacity(platform.accounts.len());
        for account in &platform.accounts {
            let node = nodes.of(Node::Account(account.id));
            if account.merged_into.is_none() {
                accounts.push((node, account));
                if let Some(email) = clean::email(&account.email) {
                    let email = nodes.of(Node::Email(hashed(&email)));
                    nodes.joined.push((node, email));
                }
            }
        }
        for (email, account) in &platform.emails {
            let (account, email) = (nodes.of(Node::Account(platform.standing_for(*account))), clean::email(email));
            if let Some(email) = email {
                let email = nodes.of(Node::Email(hashed(&email)));
                nodes.joined.push((account, email));
            }
        }
        let users: Vec<(Key, u32)> = users.iter().map(|(key, email)| (*key, nodes.of(Node::Email(*email)))).collect();
        for (user, account) in &platform.map {
            if let Ok(place) = users.binary_search_by_key(user, |(key, _)| *key) {
                let account = nodes.of(Node::Account(platform.standing_for(*account)));
                nodes.joined.push((users[place].1, account));
            }
        }
        let joined = nodes.grouped();

        let mut leaders: FxHashMap<u32, Key> = FxHashMap::default();
        for (key, node) in &users {
            leaders.entry(joined.find(*node)).or_insert(*key);
        }
        let mut members: FxHashMap<u32, Vec<&PlatformAccount>> = FxHashMap::default();
        for (node, account) in accounts {
            members.entry(joined.find(node)).or_default().push(account);
        }
        let accounts = members.into_iter().map(|(root, members)| (root, Group::of(members))).collect();
        Self { nodes: nodes.numbers, joined, users, leaders, accounts }
    }

    /// The lowest user of the group that a node belongs to.
    fn leader(&self, node: u32) -> Option<Key> {
        self.leaders.get(&self.joined.find(node)).copied()
    }

    /// Every address, hashed, with the lowest user and the account of its group.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (u128, Option<Key>, Option<i64>)> {
        self.nodes.iter().filter_map(|(node, number)| match node {
            Node::Email(hash) => {
                let root = self.joined.find(*number);
                let account = self.accounts.get(&root).map(|group| group.account.id);
                Some((*hash, self.leaders.get(&root).copied(), account))
            }
            Node::Account(_) => None,
        })
    }
}

impl Group {
    /// A group of its platform accounts: the native one stands first, then the lowest id.
    fn of(mut members: Vec<&PlatformAccount>) -> Self {
        members.sort_unstable_by_key(|account| (account.opened == Opened::PreLaunch, account.id));
        Self { account: members[0].clone(), others: members[1..].iter().map(|account| account.id).collect() }
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Node {
    Account(i64),
    Email(u128),
}

#[derive(Default)]
struct Nodes {
    numbers: FxHashMap<Node, u32>,
    joined: Vec<(u32, u32)>,
}

impl Nodes {
    fn of(&mut self, node: Node) -> u32 {
        let next = u32::try_from(self.numbers.len()).expect("fewer than 2^32 accounts and addresses");
        *self.numbers.entry(node).or_insert(next)
    }

    fn grouped(&self) -> UnionFind<u32> {
        let mut groups = UnionFind::new(self.numbers.len());
        for (a, b) in &self.joined {
            groups.union(*a, *b);
        }
        groups
    }
}

/// The earliest known activity of each user: four bytes a user.
#[derive(Debug, Default)]
struct Earliest {
    plan: Option<std::sync::Arc<StepPlan>>,
    /// Seconds since the first one that can be true, by the user's place among the keys.
    seconds: Vec<u32>,
}

/// Times before it are implausible (rules: Time).
const FIRST: i64 = 1_420_070_400;
const NONE: u32 = u32::MAX;

impl Earliest {
    fn read(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let plan = cx.plan();
        let users = usize::try_from(plan.keys.len()).expect("the keys fit into memory");
        let mut earliest = Self { plan: Some(plan), seconds: vec![NONE; users] };
        earliest.take::<Planted>(cx)?;
        earliest.take::<Paid>(cx)?;
        earliest.take::<Subscribed>(cx)?;
        Ok(earliest)
    }

    fn take<A: Activity>(&mut self, cx: &Prepare<'_>) -> Result<(), PrepareError> {
        let snapshot = Snapshot(cx.snapshot());
        cx.scan(|activity: A| {
            let (Some(user), Some(Wall(wall))) = (activity.user(), activity.wall()) else { return };
            let known = if A::IS_UTC { clean::known_utc(wall, snapshot) } else { clean::known_london(wall, snapshot) };
            if let (Some(at), Some(place)) = (known, self.place(user)) {
                let seconds = u32::try_from(at.as_second() - FIRST).unwrap_or(NONE);
                self.seconds[place] = self.seconds[place].min(seconds);
            }
        })
    }

    fn place(&self, key: Key) -> Option<usize> {
        let place = self.plan.as_ref()?.keys.rank(key)?;
        usize::try_from(place).ok()
    }

    fn of(&self, key: Key) -> Option<Timestamp> {
        let seconds = *self.seconds.get(self.place(key)?)?;
        (seconds != NONE).then(|| Timestamp::from_second(FIRST + i64::from(seconds)).ok()).flatten()
    }
}
