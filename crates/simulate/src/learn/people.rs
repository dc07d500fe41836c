//! `user`, `brand`, `project`: the rates that concern them, and who they are for the other tables.

use replant_clean as clean;
use roaring::RoaringTreemap;
use rustc_hash::FxHashSet;
use xxhash_rust::xxh3::xxh3_64;

use super::cells::{Dirt, id, text, word};
use super::{Pages, Tally, tallies};
use crate::SimulateError;
use crate::rates::Rates;

/// Who there is, while the other tables are read.
#[derive(Default)]
pub(super) struct People {
    pub(super) users: RoaringTreemap,
    pub(super) owners: RoaringTreemap,
    pub(super) brands: RoaringTreemap,
    pub(super) projects: RoaringTreemap,
    /// Hashes of the users' addresses.
    pub(super) addresses: FxHashSet<u64>,
}

impl People {
    /// Whether a user has that address.
    pub(super) fn knows(&self, address: &str) -> bool {
        self.addresses.contains(&xxh3_64(address.as_bytes()))
    }
}

tallies!(Users for UserRates {
    duplicate, test, email_invalid, name_absent, display_name_absent, display_name_long, phone_absent, phone_invalid,
    country_absent, country_unknown, password_absent, password_other, deleted, import_marker, login_absent, login_invalid,
});
tallies!(Brands for BrandRates { owner_missing, owner_shared, name_missing, name_twice, billing_unknown });
tallies!(Projects for ProjectRates { duplicate, name_missing, swapped, position_unknown, country_unknown });

const USER: &[&str] = &[
    "email",
    "first_name",
    "last_name",
    "display_name",
    "phone",
    "country",
    "password",
    "type",
    "deleted",
    "created_when",
    "updated_when",
    "last_login",
];

pub(super) fn learn(pages: &mut Pages<'_>, rates: &mut Rates) -> Result<People, SimulateError> {
    let countries = clean::Countries::new(crate::platform::all_countries().iter().cloned());
    let (mut people, mut dirt, mut users) = (People::default(), Dirt::default(), Users::default());
    let snapshot = clean::Snapshot(jiff::Timestamp::MAX);
    pages.each("user", USER, |row, cells| {
        people.users.insert(row);
        let [email, first, last, display, phone, country, password, kind, deleted, created, updated, login] =
            cells.as_slice()
        else {
            return;
        };
        let address = email.as_deref().and_then(clean::email);
        let test = word(kind).as_deref() == Some("test")
            || address.as_deref().is_some_and(|a| a.ends_with("@example.com") || a.ends_with("@moretrees.test"));
        users.test.see(test);
        users.email_invalid.see(address.is_none());
        // A duplicate is spelled otherwise by its nature.
        if let Some(address) = &address
            && !users.duplicate.see(!people.addresses.insert(xxh3_64(address.as_bytes())))
        {
            dirt.see_email(email);
        }
        for name in [first, last] {
            users.name_absent.see(text(name).is_none());
            dirt.see_text(name);
        }
        dirt.see_text(display);
        users.display_name_absent.see(text(display).is_none());
        users.display_name_long.see(text(display).is_some_and(|name| name.chars().count() > 120));
        let code = text(country).and_then(|country| countries.code(&country).map(str::to_owned));
        if !users.country_absent.see(text(country).is_none()) {
            users.country_unknown.see(code.is_none());
        } else {
            users.country_unknown.see(false);
        }
        let number = text(phone);
        users.phone_absent.see(number.is_none());
        users.phone_invalid.see(number.is_some_and(|number| reference::phone(&number, code.as_deref()).is_none()));
        users.password_absent.see(password.as_deref().is_none_or(str::is_empty));
        let bcrypt = |hash: &str| hash.len() == 60 && hash.starts_with("$2");
        users.password_other.see(password.as_deref().is_some_and(|hash| !hash.is_empty() && !bcrypt(hash)));
        users.deleted.see(deleted.as_deref() == Some("1"));
        users.import_marker.see(created.as_deref() == Some("2019-04-01 00:00:00"));
        dirt.see_time(created);
        dirt.see_time(updated);
        let login = text(login);
        users.login_absent.see(login.is_none());
        users.login_invalid.see(login.is_some_and(|login| reference::last_login(&login, snapshot).is_none()));
    })?;
    users.set(&mut rates.user);
    brands(pages, rates, &mut people, &mut dirt)?;
    projects(pages, rates, &countries, &mut people)?;
    dirt.texts.set(&mut rates.text);
    dirt.emails.set(&mut rates.email);
    dirt.times.set(&mut rates.time);
    Ok(people)
}

fn brands(pages: &mut Pages<'_>, rates: &mut Rates, people: &mut People, dirt: &mut Dirt) -> Result<(), SimulateError> {
    let (mut brands, mut names) = (Brands::default(), FxHashSet::default());
    pages.each("brand", &["user_id", "name", "billing"], |row, cells| {
        let [user, name, billing] = cells.as_slice() else { return };
        people.brands.insert(row);
        match id(user).filter(|user| people.users.contains(*user)) {
            Some(user) => {
                brands.owner_missing.see(false);
                brands.owner_shared.see(!people.owners.insert(user));
            }
            None => drop(brands.owner_missing.see(true)),
        }
        dirt.see_text(name);
        if let Some(name) = text(name) {
            brands.name_missing.see(false);
            brands.name_twice.see(!names.insert(xxh3_64(clean::casefold(&name).as_bytes())));
        } else {
            brands.name_missing.see(true);
        }
        const KNOWN: &[&str] = &["card", "invoice", "cross charge", "cross_charge", "xc"];
        brands.billing_unknown.see(word(billing).is_none_or(|word| !KNOWN.contains(&word.as_str())));
    })?;
    brands.set(&mut rates.brand);
    Ok(())
}

fn projects(
    pages: &mut Pages<'_>,
    rates: &mut Rates,
    countries: &clean::Countries,
    people: &mut People,
) -> Result<(), SimulateError> {
    let (mut projects, mut names) = (Projects::default(), FxHashSet::default());
    pages.each("project", &["name", "country", "lat", "lng"], |row, cells| {
        let [name, country, lat, lng] = cells.as_slice() else { return };
        people.projects.insert(row);
        let letters = text(name).map(|name| name.to_lowercase().replace(|c: char| !c.is_alphanumeric(), ""));
        match letters.filter(|letters| !letters.is_empty()) {
            Some(letters) => {
                projects.name_missing.see(false);
                projects.duplicate.see(!names.insert(xxh3_64(letters.as_bytes())));
            }
            None => drop(projects.name_missing.see(true)),
        }
        projects.country_unknown.see(text(country).is_some_and(|country| countries.code(&country).is_none()));
        let degrees = |cell| text(cell)?.replace(',', ".").parse::<f64>().ok();
        let (lat, lng) = (degrees(lat), degrees(lng));
        let swapped = lat.zip(lng).is_some_and(|(lat, lng)| lat.abs() > 90.0 && lng.abs() <= 90.0);
        projects.swapped.see(swapped);
        let fits =
            lat.zip(lng).is_some_and(|(lat, lng)| lat.abs() <= 90.0 && lng.abs() <= 180.0 && (lat, lng) != (0.0, 0.0));
        projects.position_unknown.see(!swapped && !fits);
    })?;
    projects.set(&mut rates.project);
    Ok(())
}

/// How rows are spread over users and brands.
#[derive(Default)]
pub(super) struct Spread {
    of_users: rustc_hash::FxHashMap<u64, u64>,
    of_brands: rustc_hash::FxHashMap<u64, u64>,
}

impl Spread {
    pub(super) fn see(&mut self, user: Option<u64>, brand: Option<u64>) {
        if let Some(user) = user.filter(|_| brand.is_none()) {
            *self.of_users.entry(user).or_default() += 1;
        }
        if let Some(brand) = brand {
            *self.of_brands.entry(brand).or_default() += 1;
        }
    }

    /// Rows of the largest brand, of users who own a brand, and of the busiest hundredth of the others.
    pub(super) fn set(self, rates: &mut Rates, people: &People) {
        let first = self.of_brands.values().copied().max().unwrap_or(0);
        Tally { hits: first, of: self.of_brands.values().sum() }.set(&mut rates.skew.first_brand);
        // The first of the others' ranks is the same brand.
        let among_others = 1.0 / f64::from(u64::BITS - people.brands.len().max(1).leading_zeros());
        let beyond = (rates.skew.first_brand - among_others) / (1.0 - among_others).max(0.01);
        rates.skew.first_brand = beyond.clamp(0.0, 1.0);
        let of = self.of_users.values().sum();
        let owned = |(user, rows): (&u64, &u64)| if people.owners.contains(*user) { *rows } else { 0 };
        Tally { hits: self.of_users.iter().map(owned).sum(), of }.set(&mut rates.skew.owners);
        let mut others: Vec<u64> =
            self.of_users.iter().filter(|(user, _)| !people.owners.contains(**user)).map(|(_, rows)| *rows).collect();
        others.sort_unstable_by(|a, b| b.cmp(a));
        let busy = others.len().div_ceil(100);
        // An equal spread would give the hundredth part of the rows to them; half of what `regulars` adds goes to them.
        let extra = others[..busy].iter().sum::<u64>().saturating_sub(others.iter().sum::<u64>() / 100);
        Tally { hits: (extra * 2).min(of), of }.set(&mut rates.skew.regulars);
    }
}
