//! `project`.

use crate::row::Row;
use crate::words::{FORESTS, PLACES, SPECIES};
use crate::world::World;

pub(super) const COLUMNS: &[&str] = &["id", "name", "country", "species", "lat", "lng", "active"];

impl World {
    /// Whether a project has no name.
    pub(crate) fn has_no_name(&self, project: u64) -> bool {
        project > 0 && self.chance("project").hits("no name", project, self.rates.project.name_missing)
    }

    /// The project whose name another one has.
    fn named_as(&self, project: u64) -> u64 {
        let again = project > 5 && self.chance("project").hits("again", project, self.rates.project.duplicate);
        if again { project - 3 } else { project }
    }

    pub(crate) fn project_name(&self, project: u64) -> String {
        let place = usize::try_from(project).unwrap_or(0);
        let (name, ..) = PLACES[place % PLACES.len()];
        let forest = FORESTS[place / PLACES.len() % FORESTS.len()];
        match place / (PLACES.len() * FORESTS.len()) {
            0 => format!("{name} {forest}"),
            series => format!("{name} {forest} {}", series + 1),
        }
    }
}

pub(super) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (projects, rates) = (world.chance("project"), &world.rates.project);
    let mut dice = projects.dice("row", row);
    let named = world.named_as(row);
    let name = world.project_name(named);
    let (_, country, lat, lng) = PLACES[usize::try_from(row).unwrap_or(0) % PLACES.len()];

    out.show(world.ids.project.of(row));
    if world.has_no_name(row) {
        out.word(dice.of(&["\\N", "", "!!"]));
    } else if named != row {
        match dice.below(2) {
            0 => out.text(&name.to_uppercase().replace(' ', " - ")),
            _ => out.show(format_args!("  {name}!")),
        }
    } else if row % 6 == 5 {
        out.show(format_args!("{name} {}", crate::spell::misread("São")));
    } else {
        world.spelled(out, projects.within("name"), row, &name);
    }
    match projects.hits("country", row, rates.country_unknown) {
        true => out.text("Atlantis"),
        false => out.text(country),
    }
    let species = [dice.of(SPECIES), dice.of(SPECIES), dice.of(SPECIES)];
    match dice.below(8) {
        0 => out.show(format_args!("{}, {},  {} , n/a", species[0], species[0].to_uppercase(), species[1])),
        1 => out.show(format_args!(
            "{};{};;{}",
            crate::spell::misread(species[0]),
            species[1],
            species[1].to_lowercase()
        )),
        2 | 3 => out.text(species[0]),
        4 | 5 => out.show(format_args!("{}; {}", species[0], species[1])),
        _ => out.show(format_args!("{}; {}; {}", species[0], species[1], species[2])),
    }
    position(world, row, lat, lng, out);
    out.text(dice.of(&["1", "Y", "true", "yes", "0", "no", "unknown", "1", "Y"]));
    true
}

fn position(world: &World, row: u64, lat: i64, lng: i64, out: &mut Row) {
    let (projects, rates) = (world.chance("project"), &world.rates.project);
    let mut dice = projects.dice("position", row);
    let degrees = |hundredths: i64, mark: char| {
        let sign = if hundredths < 0 { "-" } else { "" };
        format!("{sign}{}{mark}{:02}00", hundredths.abs() / 100, hundredths.abs() % 100)
    };
    // Only beyond 90 degrees can it be told.
    if projects.hits("swapped", row, rates.swapped) {
        out.text(&degrees(11_870, '.'));
        return out.text(&degrees(980, '.'));
    }
    if projects.hits("no position", row, rates.position_unknown) {
        let (lat, lng) =
            dice.of(&[("0", "0.0"), ("12°34'S", "-46.5700"), ("\\N", "\\N"), ("200.5", "100.25"), ("here", "there")]);
        out.word(lat);
        return out.word(lng);
    }
    let mark = if dice.one_in(8) { ',' } else { '.' };
    let (near, by) = (dice.between(-15, 15), dice.between(-15, 15));
    out.text(&degrees(lat + near, mark));
    out.text(&degrees(lng + by, mark));
}
