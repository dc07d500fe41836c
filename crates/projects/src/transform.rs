//! The rules of projects: one for each slug, with the fields of its lowest id.

use replant_clean as clean;
use replant_core::Rows as AnyRows;
use replant_core::prelude::*;
use rustc_hash::FxHashSet;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::Lookups;
use crate::legacy::Project;
use crate::target::{NewProject, NewSpecies, Rows};

/// The codes of projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum ProjectCode {
    /// No name, or one without a letter or digit that a slug can hold.
    ProjectNameMissing,
    /// Latitude and longitude stood in each other's column.
    CoordinatesSwapped,
    /// Coordinates that are none: both become NULL.
    CoordinatesUnknown,
}

/// The columns of a pair of coordinates, which one repair speaks of.
const COORDINATES: &str = "lat,lng";

/// What a project says once every value is made right.
struct Fields {
    slug: String,
    name: String,
    country_code: Option<String>,
    species: Vec<String>,
    coordinates: Option<(f64, f64)>,
    active: bool,
}

/// Judges the projects of one slug: the leader is a new project, or stands for the platform's own one.
pub(crate) fn project(
    lookups: &Lookups,
    unit: &Unit<'_, Project>,
    draft: &mut Draft<Rows>,
) -> Result<i64, Refusal> {
    let leader = unit.leader();
    let fields = fields(lookups, leader, draft)?;
    for follower in &unit.rows()[1..] {
        // Nothing of it is taken, but a repair belongs to the row whose value was changed, won or not.
        self::fields(lookups, follower, draft)?;
    }
    if let Some(own) = lookups.platform.get(&fields.slug) {
        return Ok(*own);
    }
    let place = lookups.plan.keys.rank(leader.id);
    let id = place.and_then(|place| lookups.plan.ids.id(place));
    let id = id.ok_or_else(|| Refusal::unforeseen("the plan has no id for this key"))?;
    let (latitude, longitude) = fields.coordinates.unzip();
    draft.write(NewProject {
        id,
        slug: fields.slug,
        name: fields.name,
        country_code: fields.country_code,
        latitude,
        longitude,
        active: fields.active,
    });
    for species in fields.species {
        draft.write(NewSpecies { project_id: id, species });
    }
    Ok(id)
}

/// The slug by which a row is one with others; none where it is quarantined on its own account.
pub(crate) fn slug_of(row: &Project) -> Option<String> {
    row.readable().ok()?;
    slug(&clean::text(row.name.good()?).value?)
}

fn fields(lookups: &Lookups, row: &Project, draft: &mut Draft<Rows>) -> Result<Fields, Refusal> {
    let name = reference::text(&row.name, "name", row.id, draft)?;
    let missing = |why: &str| Refusal::quarantine(ProjectCode::ProjectNameMissing, why);
    let name = name.ok_or_else(|| missing("the project has no name"))?;
    let slug = slug(&name).ok_or_else(|| missing("the name leaves no slug: it has no letter or digit of ASCII"))?;
    Ok(Fields {
        slug,
        name: name.into_owned(),
        country_code: country_code(lookups, row, draft)?,
        species: species(row, draft)?,
        coordinates: coordinates(row, draft)?,
        active: active(row, draft)?,
    })
}

/// A name as it stands in an address: `foret-de-guera`. None where nothing is left of it.
fn slug(name: &str) -> Option<String> {
    let mut slug = String::with_capacity(name.len());
    let letters = name.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    for letter in letters {
        if letter.is_ascii_lowercase() || letter.is_ascii_digit() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    if slug.ends_with('-') {
        slug.pop();
    }
    (!slug.is_empty()).then_some(slug)
}

fn country_code<R: AnyRows>(
    lookups: &Lookups,
    row: &Project,
    draft: &mut Draft<R>,
) -> Result<Option<String>, Refusal> {
    let Some(text) = reference::text(&row.country, "country", row.id, draft)? else { return Ok(None) };
    let code = lookups.countries.0.code(&text).map(str::to_owned);
    if code.is_none() {
        draft.repair(row.id, clean::Repair::CountryUnknown, "country", row.country.good().cloned(), None);
    }
    Ok(code)
}

/// The species, each by its first spelling. They are split before the text rule sees them, as the brief has it.
fn species<R: AnyRows>(row: &Project, draft: &mut Draft<R>) -> Result<Vec<String>, Refusal> {
    let Some(raw) = row.species.text("species")? else { return Ok(Vec::new()) };
    let mut cleaned = false;
    let mut seen = FxHashSet::default();
    let mut species = Vec::new();
    for part in raw.split([';', ',']) {
        let text = clean::text(part);
        cleaned |= text.cleaned;
        if let Some(value) = text.value
            && seen.insert(clean::casefold(&value))
        {
            species.push(value.into_owned());
        }
    }
    if cleaned {
        draft.repair(row.id, clean::Repair::TextCleaned, "species", raw.to_owned(), species.join("; "));
    }
    Ok(species)
}

/// Latitude and longitude, in this order; none where they are absent or unknown.
fn coordinates<R: AnyRows>(row: &Project, draft: &mut Draft<R>) -> Result<Option<(f64, f64)>, Refusal> {
    let lat = reference::text(&row.lat, "lat", row.id, draft)?;
    let lng = reference::text(&row.lng, "lng", row.id, draft)?;
    if lat.is_none() && lng.is_none() {
        return Ok(None);
    }
    let (position, code) = match position(lat.as_deref(), lng.as_deref()) {
        Position::Right(lat, lng) => return Ok(Some((lat, lng))),
        Position::Swapped(lat, lng) => (Some((lat, lng)), ProjectCode::CoordinatesSwapped),
        Position::Unknown => (None, ProjectCode::CoordinatesUnknown),
    };
    let shown = |cell: &Cell<String>| cell.good().cloned().unwrap_or_else(|| "NULL".to_owned());
    let before = format!("{}, {}", shown(&row.lat), shown(&row.lng));
    draft.repair(row.id, code, COORDINATES, before, position.map(|(lat, lng)| format!("{lat}, {lng}")));
    Ok(position)
}

/// Where a pair of coordinates lies: latitude, then longitude.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Position {
    Right(f64, f64),
    Swapped(f64, f64),
    Unknown,
}

fn position(lat: Option<&str>, lng: Option<&str>) -> Position {
    let (Some(lat), Some(lng)) = (lat.and_then(degrees), lng.and_then(degrees)) else { return Position::Unknown };
    let (lat, lng, position): (_, _, fn(f64, f64) -> Position) = if lat.abs() > 90.0 && lng.abs() <= 90.0 {
        (lng, lat, Position::Swapped)
    } else {
        (lat, lng, Position::Right)
    };
    let nowhere = lat == 0.0 && lng == 0.0;
    if nowhere || lat.abs() > 90.0 || lng.abs() > 180.0 { Position::Unknown } else { position(lat, lng) }
}

/// A number of degrees: a sign, digits, a decimal point or comma.
fn degrees(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let degrees: f64 = format!("{sign}{whole}.{fraction}").parse().ok()?;
    // Zero has no sign on a map.
    Some(if degrees == 0.0 { 0.0 } else { degrees })
}

/// Whether it can be planted in: what is no flag is false.
fn active<R: AnyRows>(row: &Project, draft: &mut Draft<R>) -> Result<bool, Refusal> {
    let text = reference::text(&row.active, "active", row.id, draft)?;
    Ok(text.as_deref().and_then(clean::flag).unwrap_or(false))
}
