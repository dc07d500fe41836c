//! The commands that every migration has.

mod catch_up;
mod completions;
mod conflicts;
mod constraints;
mod demo;
mod erase;
mod lineage;
mod migrate;
mod plan;
mod quarantine;
mod status;
mod trace;
mod trial;
mod undo;
mod verify;
mod work;

use crate::app::App;
use crate::command::{AnyCommand, command};

pub(crate) use constraints::{missing, warning};

/// The commands of a company's program, in the order of `--help`.
pub(crate) fn of(app: &App) -> Vec<AnyCommand> {
    let mut commands = vec![
        command::<plan::Plan>(),
        command::<migrate::Migrate>(),
        command::<work::Work>(),
        command::<catch_up::CatchUp>(),
        command::<conflicts::Conflicts>(),
        command::<status::Status>(),
        command::<verify::Verify>(),
        command::<undo::Undo>(),
        command::<erase::Erase>(),
        command::<constraints::Constraints>(),
        command::<quarantine::Quarantine>(),
        command::<trace::Trace>(),
        command::<lineage::Lineage>(),
        command::<trial::Try>(),
    ];
    if app.sample.is_some() {
        commands.insert(0, command::<demo::Demo>());
    }
    commands.extend_from_slice(&app.commands);
    commands.push(command::<completions::Completions>());
    commands
}
