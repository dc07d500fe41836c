//! A spreadsheet that is set up for Britain, as far as it changes what nobody touches: for tests.

/// What cells of no format become in a spreadsheet that is set up for Britain.
pub(crate) fn british(cell: &str) -> String {
    let at = cell.parse::<jiff::civil::DateTime>().ok().filter(|_| cell.len() >= 10 && !cell.contains('T'));
    if let Some(at) = at {
        let form = if cell.len() == 10 { "%d/%m/%Y" } else { "%d/%m/%Y %H:%M" };
        return at.strftime(form).to_string();
    }
    if let Ok(month) = format!("{cell}-01").parse::<jiff::civil::Date>() {
        return month.strftime("%b-%y").to_string();
    }
    if ["true", "false"].contains(&cell) {
        return cell.to_uppercase();
    }
    let is_plain = cell.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let Some(number) = cell.parse::<f64>().ok().filter(|number| is_plain && number.is_finite()) else {
        return cell.replace("\r\n", "\n");
    };
    let scientific = |digits: usize| {
        let text = format!("{number:.digits$e}");
        let (mantissa, power) = text.split_once('e').unwrap();
        let power: i32 = power.parse().unwrap();
        format!("{mantissa}E{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
    };
    if number.abs() >= 1e11 || (number != 0.0 && number.abs() < 1e-4) {
        return scientific(5);
    }
    let whole = number.abs().to_string().split('.').next().unwrap_or_default().len();
    let text = format!("{number:.*}", 10_usize.saturating_sub(whole));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
