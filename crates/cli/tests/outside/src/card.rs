//! `card`: Bookshed's own command.

use diesel::prelude::*;
use replant_cli::output::{print, render, table};
use replant_cli::{Command, Context, Error, Exit, On, typed};
use replant_core::db::Db;
use replant_core::ledger::LedgerError;

use crate::loans::loans;
use crate::readers::readers;

/// Show what a reader has borrowed, by e-mail address
#[derive(clap::Args)]
pub(crate) struct Card {
    /// The reader's e-mail address
    email: String,
    #[command(flatten)]
    on: On,
}

impl Command for Card {
    const NAME: &'static str = "card";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let mut catalogue = cx.ledger(&self.on.env)?;
        let found = borrowed(&mut catalogue, &self.email).map_err(LedgerError::from)?;
        if found.is_empty() {
            let hint = format!("`{}` shows who waits", typed("quarantine list", &self.on.env));
            return Err(Error::NotFound { what: "no reader of that address has borrowed anything".to_owned(), hint });
        }
        let mut lines = table(&["title", "cents"]);
        for (title, cents) in found {
            lines.add_row([title, cents.to_string()]);
        }
        print(render(lines, 1..2));
        Ok(Exit::Done)
    }
}

/// Titles and cents.
fn borrowed(catalogue: &mut Db, email: &str) -> QueryResult<Vec<(String, i64)>> {
    let reader: Option<i64> =
        readers::table.filter(readers::email.eq(email)).select(readers::id).first(catalogue).optional()?;
    let borrowed = loans::table.filter(loans::reader_id.nullable().eq(reader)).order(loans::id);
    borrowed.select((loans::title, loans::fee_cents)).load(catalogue)
}
