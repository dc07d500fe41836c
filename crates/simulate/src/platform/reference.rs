//! Currencies, countries, and the projects that stand on the platform already.

use std::io::Read;
use std::sync::OnceLock;

use flate2::read::GzDecoder;

use crate::row::Row;
use crate::world::World;

pub(super) const CURRENCIES: &[&str] = &["code", "exponent"];
pub(super) const COUNTRIES: &[&str] = &["code", "name"];
pub(super) const PROJECTS: &[&str] = &["id", "slug", "name", "country_code", "latitude", "longitude", "active"];
pub(super) const SPECIES: &[&str] = &["project_id", "species"];

type Lines = OnceLock<Vec<(String, String)>>;

/// The client's own lists.
fn lines(of: &'static Lines, file: &'static [u8]) -> &'static [(String, String)] {
    of.get_or_init(|| {
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).expect("the sample is readable");
        let pair =
            |line: &str| line.split_once(',').map(|(code, name)| (code.to_owned(), name.trim_matches('"').to_owned()));
        text.lines().skip(1).filter_map(pair).collect()
    })
}

fn all_currencies() -> &'static [(String, String)] {
    static LINES: Lines = OnceLock::new();
    lines(&LINES, include_bytes!("../../../../fixtures/sample/platform/currencies.csv.gz"))
}

fn all_countries() -> &'static [(String, String)] {
    static LINES: Lines = OnceLock::new();
    lines(&LINES, include_bytes!("../../../../fixtures/sample/platform/countries.csv.gz"))
}

pub(super) fn currencies() -> u64 {
    all_currencies().len() as u64
}

pub(super) fn countries() -> u64 {
    all_countries().len() as u64
}

pub(super) fn currency(_: &World, row: u64, out: &mut Row) -> bool {
    pair(all_currencies(), row, out)
}

pub(super) fn country(_: &World, row: u64, out: &mut Row) -> bool {
    pair(all_countries(), row, out)
}

fn pair(lines: &[(String, String)], row: u64, out: &mut Row) -> bool {
    let Some((code, other)) = usize::try_from(row).ok().and_then(|row| lines.get(row)) else { return false };
    out.text(code);
    out.text(other);
    true
}

const STANDING: [[&str; 7]; 3] = [
    ["500", "maputo-bay-mangroves", "Maputo Bay Mangroves", "MZ", "-25.9", "32.6", "t"],
    ["501", "araucaria-mangroves", "Araucária Mangroves", "PH", "9.95", "118.85", "t"],
    ["502", "knepp-wildland", "Knepp Wildland", "GB", "50.98", "-0.36", "t"],
];
const THEIR_SPECIES: [[&str; 2]; 5] = [
    ["500", "Grevillea robusta"],
    ["500", "Moringa oleifera"],
    ["500", "Betula pendula"],
    ["501", "Araucária angustifolia"],
    ["502", "Quercus robur"],
];

pub(super) fn project(_: &World, row: u64, out: &mut Row) -> bool {
    STANDING[usize::try_from(row).unwrap_or(0)].iter().for_each(|cell| out.text(cell));
    true
}

pub(super) fn species(_: &World, row: u64, out: &mut Row) -> bool {
    THEIR_SPECIES[usize::try_from(row).unwrap_or(0)].iter().for_each(|cell| out.text(cell));
    true
}
