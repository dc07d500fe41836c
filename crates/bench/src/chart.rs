//! The results as a picture.

use charts_rs::MultiChart;
use serde_json::{Value, json};

use crate::results::{Results, StepResult, Way};

/// The results cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the chart cannot be drawn")]
pub struct ChartError(#[from] charts_rs::Error);

const WIDTH: u32 = 960;

/// Legacy rows a second of each way in all, and of the fast ones by step, as SVG.
///
/// # Errors
/// The library refuses, which is a defect.
pub fn chart(results: &Results) -> Result<String, ChartError> {
    let picture = json!({ "child_charts": [in_all(results), by_step(results)], "gap": 20, "margin": 15 });
    Ok(MultiChart::from_json(&picture.to_string())?.svg()?)
}

fn in_all(results: &Results) -> Value {
    // Reading alone is so much faster that nothing else could be seen beside it. The first of a chart stands at the bottom.
    let moves_nothing = |way: &Way| matches!(way, Way::Reading | Way::ReadingParallel | Way::CatchUp | Way::Verify);
    let moves = |way: &Way| !moves_nothing(way) && results.ways.contains_key(way);
    let ways: Vec<Way> = Way::ALL.into_iter().rev().filter(moves).collect();
    let paces: Vec<f64> = ways.iter().map(|way| results.ways[way].rows_per_s.round()).collect();
    let names: Vec<&str> = ways.iter().map(|way| way.about()).collect();
    json!({
        "type": "horizontal_bar",
        "width": WIDTH,
        "height": 90 + 34 * names.len(),
        // Room for the number at the end of the longest bar.
        "margin": { "left": 5, "top": 5, "right": 70, "bottom": 5 },
        "title_text": format!("{} legacy rows, rows a second", results.rows),
        "legend_show": false,
        "series_list": [{ "name": "rows a second", "data": paces, "label_show": true }],
        "series_label_formatter": "{t}",
        "x_axis_data": names,
    })
}

fn by_step(results: &Results) -> Value {
    let names: Vec<&str> = results.steps.iter().map(|step| step.step.split('.').next().unwrap_or_default()).collect();
    let series = [Way::Cached, Way::ReplantSteps, Way::Limit];
    let series = series.into_iter().filter(|way| results.ways.contains_key(way)).map(|way| {
        let pace = |step: &StepResult| step.ways.get(&way).map_or(0.0, |measure| measure.rows_per_s.round());
        json!({ "name": way.about(), "data": results.steps.iter().map(pace).collect::<Vec<f64>>() })
    });
    json!({
        "type": "bar",
        "width": WIDTH,
        "height": 420,
        "title_text": "By step: rows a second",
        "legend_margin": { "top": 30 },
        "series_list": series.collect::<Vec<Value>>(),
        "x_axis_data": names,
    })
}
