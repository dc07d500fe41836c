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
pub(crate) fn project(lookups: &Lookups, unit: &Unit<'_, Project>, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
    let leader = unit.leader();
    let fields = fields(lookups, leader, draft)?;
    for follower in &unit.rows()[1..] {
        // Nothing of it is taken, but a repair belongs to the row whose value was changed, won or not.
        self::fields(lookups, follower, draft)?;
    }
    if let Some(own) = lookups.platform.get(&fields.slug) {
        return Ok(*own);
    }
    let planned =
        || lookups.plan.id_of(leader.id).ok_or_else(|| Refusal::unforeseen("the plan has no id for this key"));
    let id = had_before(lookups, unit).map_or_else(planned, Ok)?;
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

/// In a replay: the row of the first project of the unit that has one. A row that becomes one with another, and leads it, takes that
/// one's row, and with it what points there.
fn had_before(lookups: &Lookups, unit: &Unit<'_, Project>) -> Option<i64> {
    let rows: Vec<Key> = unit.rows().iter().map(|row| row.id).collect();
    let mut had = rows.iter().filter_map(|row| lookups.before.migrated_to(*row));
    had.find(|id| lookups.before.made(*id) && !lookups.plan.is_of_another(*id, &rows))
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

fn country_code<R: AnyRows>(lookups: &Lookups, row: &Project, draft: &mut Draft<R>) -> Result<Option<String>, Refusal> {
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
    let (lat, lng, position): (_, _, fn(f64, f64) -> Position) =
        if lat.abs() > 90.0 && lng.abs() <= 90.0 { (lng, lat, Position::Swapped) } else { (lat, lng, Position::Right) };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reference::Countries;
    use replant_core::{IdBlock, StepPlan};

    use super::*;

    /// The keys 1 to 9 have the ids 101 to 109, and the platform has a project of its own.
    fn lookups() -> Lookups {
        let countries = [("GB", "United Kingdom"), ("KE", "Kenya"), ("CI", "Côte d'Ivoire")];
        let countries = countries.map(|(code, name)| (code.to_owned(), name.to_owned()));
        Lookups {
            countries: Arc::new(Countries(clean::Countries::new(countries))),
            platform: [("knepp-wildland".to_owned(), 7)].into_iter().collect(),
            followers: Followers::default(),
            plan: Arc::new(StepPlan::of(1..=9, IdBlock::new(vec![(101, 9)]))),
            before: Arc::default(),
        }
    }

    fn named(id: Key, name: &str) -> Project {
        let null = || Cell::Null;
        Project { id, name: good(name), country: null(), species: null(), lat: null(), lng: null(), active: null() }
    }

    fn good(text: &str) -> Cell<String> {
        Cell::Good(text.to_owned())
    }

    fn bad() -> Cell<String> {
        Cell::bad("\\xff", "not valid UTF-8")
    }

    /// What a unit comes to: its target or the code of its refusal, what is written, and its repairs as `key code column`.
    struct Judged {
        result: Result<i64, &'static str>,
        projects: Vec<NewProject>,
        species: Vec<String>,
        repairs: Vec<String>,
    }

    fn judge(rows: &[Project]) -> Judged {
        let mut draft = Draft::<Rows>::default();
        let result = project(&lookups(), &Unit::new(rows), &mut draft).map_err(|refusal| match refusal {
            Refusal::Skipped(code) | Refusal::Quarantined { code, .. } => code.as_str(),
        });
        let (projects, species) = draft.rows().written();
        let repairs = draft.repairs().map(|r| format!("{} {} {}", r.key, r.code, r.column));
        Judged {
            result,
            projects: projects.to_vec(),
            species: species.iter().map(|row| row.species.clone()).collect(),
            repairs: repairs.collect(),
        }
    }

    /// The one project of a row with a good name, and the codes of its repairs.
    #[track_caller]
    fn written(row: Project) -> (NewProject, Vec<String>, Vec<String>) {
        let mut judged = judge(&[row]);
        assert!(judged.result.is_ok(), "{:?}", judged.result);
        (judged.projects.remove(0), judged.species, judged.repairs)
    }

    #[test]
    fn a_slug_has_letters_and_digits_with_single_hyphens_between() {
        for (name, expect) in [
            ("Maputo Bay Mangroves", Some("maputo-bay-mangroves")),
            ("FORÊT - DE - GUÉRA", Some("foret-de-guera")),
            ("Forêt de Guéra!", Some("foret-de-guera")),
            ("--42. Straße/№ ½--", Some("42-stra-e-no-1-2")),
            ("İzmir ＡＢ ﬁ", Some("izmir-ab-fi")),
            ("Łódź", Some("odz")),
            ("a_b\u{301}\u{0}c", Some("a-b-c")),
            ("東京の森", None),
            ("—!", None),
        ] {
            assert_eq!(slug(name).as_deref(), expect, "{name:?}");
        }
    }

    #[test]
    fn a_project_needs_a_name_with_a_slug() {
        for (name, expect) in [
            (good("Tsavo"), Ok(101)),
            (Cell::Null, Err("project_name_missing")),
            (good(" n/a "), Err("project_name_missing")),
            (good("森"), Err("project_name_missing")),
            (bad(), Err("unforeseen")),
        ] {
            let row = Project { name, ..named(1, "") };
            assert_eq!(judge(std::slice::from_ref(&row)).result, expect, "{row:?}");
            assert_eq!(slug_of(&row).is_some(), expect.is_ok(), "{row:?}");
        }
    }

    #[test]
    fn a_name_is_read_by_the_text_rule() {
        let (project, _, repairs) = written(named(1, "  Kilifi  Creek SÃ£o "));
        assert_eq!((project.name.as_str(), project.slug.as_str()), ("Kilifi Creek São", "kilifi-creek-sao"));
        assert_eq!(repairs, ["1 text_cleaned name"]);
    }

    #[test]
    fn the_lowest_id_of_a_slug_is_migrated_with_its_own_fields_alone() {
        let leader = Project { species: good("Avicennia marina"), ..named(2, "Forêt") };
        let follower =
            Project { country: good("KE"), species: good("Moringa oleifera"), active: good("1"), ..named(5, "FORET!") };
        let judged = judge(&[leader, follower]);
        assert_eq!(judged.result, Ok(102));
        assert_eq!(judged.species, ["Avicennia marina"]);
        let project = &judged.projects[0];
        assert_eq!((project.id, project.country_code.as_deref(), project.active), (102, None, false));
        assert_eq!(judged.projects.len(), 1);
    }

    #[test]
    fn a_repair_belongs_to_the_row_whose_value_was_changed() {
        let follower = Project { country: good("Atlantis"), ..named(5, "ForÃªt") };
        let judged = judge(&[named(2, "Forêt"), follower]);
        assert_eq!(judged.repairs, ["5 text_cleaned name", "5 country_unknown country"]);
    }

    #[test]
    fn a_project_that_the_platform_has_stays_as_it_is() {
        let row = Project { species: good("Quercus robur"), country: good("Narnia"), ..named(3, "Knepp Wildland") };
        let judged = judge(&[row]);
        assert_eq!(judged.result, Ok(7));
        assert!(judged.projects.is_empty() && judged.species.is_empty());
        assert_eq!(judged.repairs, ["3 country_unknown country"]);
    }

    #[test]
    fn a_row_that_cannot_be_read_leads_nobody() {
        let row = Project { species: bad(), ..named(1, "Tsavo") };
        assert_eq!(slug_of(&row), None);
        assert_eq!(judge(&[row]).result, Err("unforeseen"));
        assert_eq!(slug_of(&named(1, "Tsavo")).as_deref(), Some("tsavo"));
    }

    #[test]
    fn a_country_is_named_in_many_ways_or_unknown() {
        for (country, expect, repairs) in [
            ("Scotland", Some("GB"), vec![]),
            (" ke", Some("KE"), vec![]),
            ("CÃ´te d'Ivoire", Some("CI"), vec!["1 text_cleaned country"]),
            ("Atlantis", None, vec!["1 country_unknown country"]),
            ("-", None, vec![]),
        ] {
            let (project, _, found) = written(Project { country: good(country), ..named(1, "Tsavo") });
            assert_eq!(
                (project.country_code.as_deref(), found),
                (expect, repairs.iter().map(ToString::to_string).collect()),
                "{country}"
            );
        }
    }

    #[test]
    fn species_are_split_cleaned_and_each_there_once() {
        let cleaned = vec!["1 text_cleaned species"];
        for (raw, expect, repairs) in [
            (
                "Rhizophora mucronata, RHIZOPHORA MUCRONATA,  Avicennia marina , n/a",
                vec!["Rhizophora mucronata", "Avicennia marina"],
                vec![],
            ),
            ("AraucÃ¡ria a.;Betula pendula;;betula pendula", vec!["Araucária a.", "Betula pendula"], cleaned.clone()),
            ("Betula;Betu\u{200B}la", vec!["Betula"], cleaned),
            ("Straße; STRASSE", vec!["Straße"], vec![]),
            ("Quercus &amp; Co", vec!["Quercus &amp", "Co"], vec![]),
            (" ; - ,", vec![], vec![]),
        ] {
            let (_, species, found) = written(Project { species: good(raw), ..named(1, "Tsavo") });
            assert_eq!(
                (species, found),
                (
                    expect.iter().map(ToString::to_string).collect(),
                    repairs.iter().map(ToString::to_string).collect::<Vec<_>>()
                ),
                "{raw}"
            );
        }
    }

    #[test]
    fn coordinates_are_swapped_or_dropped_where_they_are_no_place() {
        use Position::{Right, Swapped, Unknown};
        for (lat, lng, expect) in [
            ("-25.9000", "32.6000", Right(-25.9, 32.6)),
            ("57,3400", "-4,8600", Right(57.34, -4.86)),
            ("+90", "\u{2212}180", Right(90.0, -180.0)),
            ("0", "-0.0", Unknown),
            ("-0", "5", Right(0.0, 5.0)),
            ("118.7000", "9.8000", Swapped(9.8, 118.7)),
            ("-180", "90", Swapped(90.0, -180.0)),
            ("200.5", "100.25", Unknown),
            ("200.5", "10", Unknown),
            ("10", "180.1", Unknown),
            ("12°34'S", "-46.5700", Unknown),
            ("1e1", "5", Unknown),
            ("5.", "5", Unknown),
            ("1,234.5", "5", Unknown),
            ("NaN", "inf", Unknown),
        ] {
            assert_eq!(position(Some(lat), Some(lng)), expect, "{lat} {lng}");
        }
        assert!(position(Some("-0"), Some("5")) == Right(0.0, 5.0) && degrees("-0").is_some_and(f64::is_sign_positive));
        assert_eq!(position(Some("5"), None), Unknown);
    }

    #[test]
    fn coordinates_have_one_repair_and_none_where_they_were_absent() {
        for (lat, lng, expect, repair) in [
            ("118.70", "9.8", Some((9.8, 118.7)), Some(("coordinates_swapped", "118.70, 9.8", Some("9.8, 118.7")))),
            ("0", "0.0", None, Some(("coordinates_unknown", "0, 0.0", None))),
            ("5", "", None, Some(("coordinates_unknown", "5, ", None))),
            ("", "n/a", None, None),
            ("1,5", "2.5", Some((1.5, 2.5)), None),
        ] {
            let row = Project { lat: good(lat), lng: good(lng), ..named(1, "Tsavo") };
            let mut draft = Draft::<Rows>::default();
            assert_eq!(coordinates(&row, &mut draft), Ok(expect), "{lat} {lng}");
            let found: Vec<_> = draft
                .repairs()
                .map(|r| (r.code.as_str(), r.before.as_deref().unwrap_or(""), r.after.as_deref()))
                .collect();
            assert_eq!(found, repair.into_iter().collect::<Vec<_>>(), "{lat} {lng}");
        }
    }

    #[test]
    fn active_is_a_flag_and_false_where_it_is_none() {
        for (active, expect) in
            [("Y", true), (" true", true), ("1", true), ("no", false), ("0", false), ("unknown", false), ("", false)]
        {
            let (project, _, repairs) = written(Project { active: good(active), ..named(1, "Tsavo") });
            assert_eq!((project.active, repairs), (expect, vec![]), "{active}");
        }
    }
}
