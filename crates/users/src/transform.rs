//! A group of users becomes an account (rules: Users, 3 to 5). Pure.

use std::sync::Arc;

use jiff::Timestamp;
use reference::Countries;
use replant_clean::{self as clean, Snapshot};
use replant_core::prelude::*;
use replant_core::{Pointer, StepPlan};
use rustc_hash::FxHashMap;

use crate::Rows;
use crate::codes::Repair;
use crate::identity::{Group, Identity, judge};
use crate::legacy::User;
use crate::person::Person;
use crate::platform::Opened as OpenedBy;
use crate::target::Account;
use crate::write::{Closing, Wish};

/// What `transform` asks.
pub struct Lookups {
    pub(crate) identity: Identity,
    /// Columns of the platform that point to accounts, and that the settings let follow a merged one.
    pub(crate) followed: Arc<[Pointer]>,
    pub(crate) countries: Arc<Countries>,
    pub(crate) plan: Arc<StepPlan>,
    pub(crate) snapshot: Snapshot,
    pub(crate) first_written: FirstWritten,
    /// In a replay: the accounts that users had before.
    pub(crate) before: Arc<Standings>,
    /// Accounts that were closed before, by the users for whose sake.
    pub(crate) closed: FxHashMap<Key, Vec<i64>>,
}

/// The longest display name, in Unicode code points.
const NAME_LENGTH: usize = 120;

/// What a group says about its account.
struct Facts {
    display_name: String,
    given_name: Option<String>,
    family_name: Option<String>,
    phone: Option<String>,
    country: Option<String>,
    locale: Option<String>,
    password_hash: Option<String>,
    consent: bool,
    closed: bool,
    created: Timestamp,
    last_seen: Option<Timestamp>,
}

/// Judges a group of users, the one of lowest id first.
pub(crate) fn transform(lookups: &Lookups, unit: &Unit<'_, User>, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
    let leader = unit.leader();
    let mut emails: Vec<String> = Vec::with_capacity(unit.rows().len());
    let mut people: Vec<Person<'_>> = Vec::with_capacity(unit.rows().len());
    for user in unit.rows() {
        emails.push(judge(&user.kind, &user.email)?);
        people.push(Person::read(user, lookups.snapshot, &lookups.countries.0, draft)?);
    }
    Person::freshest_first(&mut people);

    match lookups.identity.group(leader.id) {
        Some(group) => joined(lookups, unit, &people, emails, &group, draft),
        None => opened(lookups, unit, &people, emails.swap_remove(0), draft),
    }
}

/// Nobody has an account yet: a new one.
fn opened(
    lookups: &Lookups,
    unit: &Unit<'_, User>,
    people: &[Person<'_>],
    email: String,
    draft: &mut Draft<Rows>,
) -> Result<i64, Refusal> {
    let leader = unit.leader();
    let facts = facts(lookups, leader, people, &email, None, draft);
    let mut before = had_before(lookups, unit);
    let planned = || lookups.plan.id_of(leader.id).ok_or_else(|| Refusal::unforeseen("the row was not planned"));
    let id = if before.is_empty() { planned()? } else { before.remove(0) };
    let others = with_closed(lookups, unit, id, before);
    if !others.is_empty() {
        draft.write(closing(lookups, id, others, leader));
    }
    draft.write(Account {
        id,
        kind: "person".to_owned(),
        email,
        display_name: facts.display_name,
        given_name: facts.given_name,
        family_name: facts.family_name,
        phone: facts.phone,
        country_code: facts.country,
        locale: facts.locale,
        password_hash: facts.password_hash,
        marketing_consent: facts.consent,
        status: if facts.closed { "closed" } else { "active" }.to_owned(),
        merged_into: None,
        created_at: facts.created.into(),
        last_seen_at: facts.last_seen.map(Instant),
        updated_at: lookups.first_written.of(leader.id).into(),
    });
    Ok(id)
}

fn closing(lookups: &Lookups, into: i64, others: Vec<i64>, leader: &User) -> Closing {
    Closing { into, others, legacy_key: Some(leader.id), followed: Arc::clone(&lookups.followed) }
}

/// In a replay: the accounts that the migration opened for users of the unit, those of the lowest users first. They were
/// not one person then. One that was opened for a user who is another person by now is that one's.
fn had_before(lookups: &Lookups, unit: &Unit<'_, User>) -> Vec<i64> {
    let users: Vec<Key> = unit.rows().iter().map(|user| user.id).collect();
    let opened = users.iter().filter_map(|user| lookups.before.migrated_to(*user));
    opened.filter(|id| is_theirs(lookups, &users, *id)).collect()
}

/// Whether the migration opened an account, and for none but these users.
fn is_theirs(lookups: &Lookups, users: &[Key], account: i64) -> bool {
    lookups.before.made(account) && !lookups.plan.is_of_another(account, users)
}

/// Accounts that go into `into`, with those that the migration had opened and that went into it before: a customer has changed them, so
/// they stand there still.
fn with_closed(lookups: &Lookups, unit: &Unit<'_, User>, into: i64, mut others: Vec<i64>) -> Vec<i64> {
    let users: Vec<Key> = unit.rows().iter().map(|user| user.id).collect();
    for account in users.iter().filter_map(|user| lookups.closed.get(user)).flatten() {
        if *account != into && !others.contains(account) && is_theirs(lookups, &users, *account) {
            others.push(*account);
        }
    }
    others
}

/// Somebody has an account: it keeps what the customer changed, and takes in the others of the group.
fn joined(
    lookups: &Lookups,
    unit: &Unit<'_, User>,
    people: &[Person<'_>],
    emails: Vec<String>,
    group: &Group<'_>,
    draft: &mut Draft<Rows>,
) -> Result<i64, Refusal> {
    let leader = unit.leader();
    let account = group.account;
    let email = clean::email(&account.email).unwrap_or_else(|| account.email.to_string());
    let facts = facts(lookups, leader, people, &email, account.country.as_deref(), draft);
    let others = with_closed(lookups, unit, account.id, [group.others.clone(), had_before(lookups, unit)].concat());
    if !others.is_empty() {
        draft.write(closing(lookups, account.id, others, leader));
    }
    draft.write(Wish {
        account: account.id,
        pre_launch: account.opened == OpenedBy::PreLaunch,
        held: account.held,
        written: lookups.identity.written_into(account.id),
        legacy_key: leader.id,
        display_name: facts.display_name,
        given_name: facts.given_name,
        family_name: facts.family_name,
        phone: facts.phone,
        country_code: facts.country,
        locale: facts.locale,
        password_hash: facts.password_hash,
        created_at: facts.created.into(),
        last_seen_at: facts.last_seen.map(Instant),
        // That of the account is its own, or was: a customer may have another one by now, or have been erased.
        emails: emails.into_iter().filter(|wanted| *wanted != email).collect(),
    });
    Ok(account.id)
}

/// The first value that there is, the freshest user's first.
fn first<'p, 'a: 'p, T: ?Sized + 'p>(
    people: &'p [Person<'a>],
    value: impl Fn(&'p Person<'a>) -> Option<&'p T>,
) -> Option<&'p T> {
    people.iter().find_map(value)
}

fn facts(
    lookups: &Lookups,
    leader: &User,
    people: &[Person<'_>],
    email: &str,
    own_country: Option<&str>,
    draft: &mut Draft<Rows>,
) -> Facts {
    let given_name = first(people, |p| p.given_name.as_deref()).map(str::to_owned);
    let family_name = first(people, |p| p.family_name.as_deref()).map(str::to_owned);
    let country = first(people, |p| p.country.as_deref()).map(str::to_owned);
    // The region is the country that the account ends up with: its own, where it has one.
    let region = own_country.or(country.as_deref());
    let phone = phones(people, region, draft);
    let display_name = display_name(leader.id, people, given_name.as_deref(), family_name.as_deref(), email, draft);
    Facts {
        display_name,
        given_name,
        family_name,
        phone,
        country,
        locale: first(people, |p| p.locale.as_deref()).map(str::to_owned),
        password_hash: password_hash(people),
        // Any no is a no; else any yes is a yes; else no.
        consent: people.iter().all(|p| p.consent != Some(false)) && people.iter().any(|p| p.consent == Some(true)),
        closed: people.iter().all(|p| p.deleted),
        created: created(lookups, leader, people, draft),
        last_seen: people.iter().filter_map(|p| p.last_login).max(),
    }
}

fn phones(people: &[Person<'_>], region: Option<&str>, draft: &mut Draft<Rows>) -> Option<String> {
    let mut chosen = None;
    for person in people {
        let Some(text) = person.phone.as_deref() else { continue };
        match reference::phone(text, region) {
            Some(phone) => chosen = chosen.or(Some(phone)),
            None => draft.repair(person.key, clean::Repair::PhoneInvalid, "phone", text.to_owned(), None),
        }
    }
    chosen
}

fn display_name(
    leader: Key,
    people: &[Person<'_>],
    given: Option<&str>,
    family: Option<&str>,
    email: &str,
    draft: &mut Draft<Rows>,
) -> String {
    let name = match (first(people, |p| p.display_name.as_deref()), given, family) {
        (Some(name), _, _) => name.to_owned(),
        (None, Some(given), Some(family)) => format!("{given} {family}"),
        (None, Some(one), None) | (None, None, Some(one)) => one.to_owned(),
        (None, None, None) => email.split('@').next().unwrap_or(email).to_owned(),
    };
    match name.char_indices().nth(NAME_LENGTH) {
        None => name,
        Some((end, _)) => {
            let cut = name[..end].to_owned();
            draft.repair(leader, Repair::NameTruncated, "display_name", name, cut.clone());
            cut
        }
    }
}

/// Of the group's bcrypt hashes that of the latest known login, else the freshest.
fn password_hash(people: &[Person<'_>]) -> Option<String> {
    let hashes = || people.iter().filter(|p| p.password_hash.is_some());
    let latest = hashes().filter_map(|p| p.last_login).max();
    let chosen = match latest {
        Some(_) => hashes().find(|p| p.last_login == latest),
        None => hashes().next(),
    };
    chosen.and_then(|p| p.password_hash).map(str::to_owned)
}

/// When the group became a customer: the earliest known creation or activity, else the earliest known update, else S.
fn created(lookups: &Lookups, leader: &User, people: &[Person<'_>], draft: &mut Draft<Rows>) -> Timestamp {
    let activity = people.iter().filter_map(|p| lookups.identity.earliest(p.key));
    let created = people
        .iter()
        .filter_map(|p| p.created)
        .chain(activity)
        .min()
        .or_else(|| people.iter().filter_map(|p| p.updated).min())
        .unwrap_or_else(|| lookups.first_written.of(leader.id));
    let own = people.iter().find(|p| p.key == leader.id).and_then(|p| p.created);
    if own != Some(created) {
        let stored = leader.created_when.good().map(|wall| wall.0.to_string());
        draft.repair(leader.id, Repair::CreatedAtRepaired, "created_when", stored, created.to_string());
    }
    created
}
