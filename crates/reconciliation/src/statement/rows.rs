//! The rows of the platform that belong to accounts, as lines.

use std::collections::{BTreeMap, BTreeSet};

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use jiff::civil::Date;
use replant_core::Instant;
use replant_core::db::{Db, MultiBackend};
use rustc_hash::FxHashMap;

use super::line::{Line, Source, What, When};
use super::person::{Person, address};
use crate::error::{Reading, ReportError};
use crate::money::Decimals;
use crate::read::{PAGE, pages};
use crate::schema::target::{
    brands as b, credit_entries as e, cross_charges as c, invoices as i, payment_allocations as al, payments as p,
    plantings as t, projects, refunds as r, subscriptions as s,
};

/// Names that lines mention.
pub(super) struct Names {
    projects: FxHashMap<i64, String>,
    brands: FxHashMap<i64, String>,
}

/// Reads lines; all but the words of each is the same.
pub(super) struct Reader<'a> {
    accounts: Vec<i64>,
    decimals: &'a Decimals,
    names: Names,
}

/// A line that was not yet told where it comes from.
fn line(at: When, what: What, table: &'static str, id: i64, account_id: i64) -> Line {
    Line {
        at,
        what,
        table,
        id,
        account_id,
        status: None,
        trees: None,
        amount_minor: None,
        currency: None,
        amount: None,
        balance_minor: None,
        about: String::new(),
        source: Source::Native,
    }
}

/// A DATE as both databases write it; diesel has no portable form of it.
fn day(text: &str) -> When {
    When::On(text.parse().unwrap_or(Date::ZERO))
}

fn date(at: Instant) -> String {
    at.0.strftime("%Y-%m-%d").to_string()
}

impl<'a> Reader<'a> {
    pub(super) fn new(target: &mut Db, accounts: &BTreeSet<i64>, decimals: &'a Decimals) -> Result<Self, ReportError> {
        let projects: Vec<(i64, String)> =
            projects::table.select((projects::id, projects::name)).load(target).reading("the platform's projects")?;
        let brands: Vec<(i64, String)> =
            b::table.select((b::id, b::name)).load(target).reading("the platform's brands")?;
        let names = Names { projects: projects.into_iter().collect(), brands: brands.into_iter().collect() };
        Ok(Self { accounts: accounts.iter().copied().collect(), decimals, names })
    }

    fn with_money(&self, line: Line, minor: i64, currency: String) -> Line {
        let amount = Some(self.decimals.shown(minor, &currency));
        Line { amount_minor: Some(minor), amount, currency: Some(currency), ..line }
    }

    fn accounts(&self) -> Vec<i64> {
        self.accounts.clone()
    }

    /// Every line of the accounts, in no order.
    pub(super) fn lines(&self, target: &mut Db, person: &Person) -> Result<Vec<Line>, ReportError> {
        let mut lines = self.subscriptions(target).reading("subscriptions")?;
        lines.extend(self.invoices(target).reading("invoices")?);
        lines.extend(self.payments(target).reading("payments")?);
        lines.extend(self.refunds(target).reading("refunds")?);
        lines.extend(self.allocations(target).reading("allocations")?);
        lines.extend(self.plantings(target).reading("plantings")?);
        lines.extend(self.gifts_received(target, person)?);
        lines.extend(self.cross_charges(target).reading("cross-charges")?);
        lines.extend(self.credit_entries(target).reading("credit entries")?);
        Ok(lines)
    }

    fn subscriptions(&self, target: &mut Db) -> QueryResult<Vec<Line>> {
        #[derive(Queryable, Selectable)]
        #[diesel(table_name = s, check_for_backend(MultiBackend))]
        struct Row {
            id: i64,
            account_id: i64,
            plan: String,
            trees_per_cycle: i32,
            amount_minor: i64,
            currency: String,
            cycle: String,
            status: String,
            started_at: Instant,
            next_billing_at: Option<Instant>,
            cancelled_at: Option<Instant>,
        }
        let rows: Vec<Row> =
            s::table.filter(s::account_id.eq_any(self.accounts())).select(Row::as_select()).load(target)?;
        let lines = rows.into_iter().map(|row| {
            let mut about = format!("{}, by the {}", row.plan, row.cycle);
            if let Some(at) = row.next_billing_at {
                about += &format!(", next billing {}", date(at));
            }
            if let Some(at) = row.cancelled_at {
                about += &format!(", cancelled {}", date(at));
            }
            let line = line(When::At(row.started_at), What::Subscription, "subscriptions", row.id, row.account_id);
            let line = Line { status: Some(row.status), trees: Some(row.trees_per_cycle.into()), about, ..line };
            self.with_money(line, row.amount_minor, row.currency)
        });
        Ok(lines.collect())
    }

    fn invoices(&self, target: &mut Db) -> QueryResult<Vec<Line>> {
        type Row = (i64, i64, String, i64, String, String, Option<String>, String);
        let due_on = sql::<Nullable<Text>>("CAST(due_on AS TEXT)");
        let rows: Vec<Row> = i::table
            .filter(i::account_id.eq_any(self.accounts()))
            .select((
                i::id,
                i::account_id,
                i::number,
                i::total_minor,
                i::currency,
                sql::<Text>("CAST(issued_on AS TEXT)"),
                due_on,
                i::status,
            ))
            .load(target)?;
        let lines = rows.into_iter().map(|(id, account, number, total, currency, issued, due, status)| {
            let due = due.map(|due| format!(", due {due}")).unwrap_or_default();
            let line = line(day(&issued), What::Invoice, "invoices", id, account);
            self.with_money(Line { status: Some(status), about: format!("{number}{due}"), ..line }, total, currency)
        });
        Ok(lines.collect())
    }

    fn payments(&self, target: &mut Db) -> QueryResult<Vec<Line>> {
        #[derive(Queryable, Selectable)]
        #[diesel(table_name = p, check_for_backend(MultiBackend))]
        struct Row {
            id: i64,
            account_id: i64,
            method: String,
            status: String,
            amount_minor: i64,
            currency: String,
            gateway: Option<String>,
            gateway_ref: Option<String>,
            subscription_id: Option<i64>,
            paid_at: Instant,
        }
        let rows: Vec<Row> =
            p::table.filter(p::account_id.eq_any(self.accounts())).select(Row::as_select()).load(target)?;
        let lines = rows.into_iter().map(|row| {
            let mut about = row.method;
            for part in [row.gateway, row.gateway_ref].into_iter().flatten() {
                about += &format!(" {part}");
            }
            if let Some(subscription) = row.subscription_id {
                about += &format!(", for subscription {subscription}");
            }
            let line = line(When::At(row.paid_at), What::Payment, "payments", row.id, row.account_id);
            self.with_money(Line { status: Some(row.status), about, ..line }, row.amount_minor, row.currency)
        });
        Ok(lines.collect())
    }

    fn refunds(&self, target: &mut Db) -> QueryResult<Vec<Line>> {
        type Row = (i64, i64, i64, String, i64, String, Instant);
        let rows: Vec<Row> = r::table
            .inner_join(p::table.on(p::id.eq(r::payment_id)))
            .filter(p::account_id.eq_any(self.accounts()))
            .select((r::id, r::payment_id, p::account_id, p::currency, r::amount_minor, r::reason, r::refunded_at))
            .load(target)?;
        let lines = rows.into_iter().map(|(id, payment, account, currency, minor, reason, at)| {
            let about = format!("of payment {payment}, reason {reason}");
            let line = line(When::At(at), What::Refund, "refunds", id, account);
            self.with_money(Line { about, ..line }, -minor, currency)
        });
        Ok(lines.collect())
    }

    /// An allocation has no time of its own: it stands at its payment.
    fn allocations(&self, target: &mut Db) -> QueryResult<Vec<Line>> {
        type Row = (i64, i64, String, i64, String, i64, Instant);
        let theirs = i::account_id.eq_any(self.accounts()).or(p::account_id.eq_any(self.accounts()));
        let rows: Vec<Row> = al::table
            .inner_join(p::table.on(p::id.eq(al::payment_id)))
            .inner_join(i::table.on(i::id.eq(al::invoice_id)))
            .filter(theirs)
            .select((
                al::payment_id,
                i::account_id,
                i::number,
                p::account_id,
                i::currency,
                al::amount_minor,
                p::paid_at,
            ))
            .load(target)?;
        let lines = rows.into_iter().map(|(payment, invoiced, number, payer, currency, minor, at)| {
            let mut about = format!("payment {payment} settles {number}");
            if invoiced != payer {
                about += &format!(", paid by account {payer} for account {invoiced}");
            }
            let line = line(When::At(at), What::Allocation, "payment_allocations", payment, payer);
            self.with_money(Line { about, ..line }, minor, currency)
        });
        Ok(lines.collect())
    }

    fn plantings(&self, target: &mut Db) -> QueryResult<Vec<Line>> {
        let rows: Vec<Planting> =
            t::table.filter(t::account_id.eq_any(self.accounts())).select(Planting::as_select()).load(target)?;
        Ok(rows.into_iter().map(|row| self.planting(row, What::Planting)).collect())
    }

    /// What others planted for them: for one of their accounts, or for the address that was asked for.
    fn gifts_received(&self, target: &mut Db, person: &Person) -> Result<Vec<Line>, ReportError> {
        let mut lines = Vec::new();
        pages(
            target,
            "gifts",
            |db, after| {
                t::table
                    .filter(t::id.gt(after))
                    .filter(t::recipient_email.is_not_null().or(t::recipient_account_id.is_not_null()))
                    .order(t::id)
                    .limit(PAGE)
                    .select(Planting::as_select())
                    .load(db)
            },
            |row| row.id,
            |row| {
                let account = row.recipient_account_id.is_some_and(|id| person.accounts.contains(&id));
                let asked = || row.recipient_email.as_deref().and_then(address).as_ref() == Some(&person.address);
                if account || asked() {
                    lines.push(self.planting(row, What::GiftReceived));
                }
            },
        )?;
        Ok(lines)
    }

    fn planting(&self, row: Planting, what: What) -> Line {
        let mut about = row.kind;
        if let Some(project) = self.names.projects.get(&row.project_id) {
            about += &format!(", {project}");
        }
        if let Some(brand) = row.brand_id.and_then(|id| self.names.brands.get(&id)) {
            about += &format!(", for {brand}");
        }
        match (what, row.recipient_email, row.recipient_account_id) {
            (What::GiftReceived, _, _) => about += &format!(", from account {}", row.account_id),
            (_, Some(email), Some(account)) => about += &format!(", to {email} (account {account})"),
            (_, Some(email), None) => about += &format!(", to {email}"),
            (_, None, Some(account)) => about += &format!(", to account {account}"),
            (_, None, None) => {}
        }
        if let Some(payment) = row.payment_id {
            about += &format!(", paid by payment {payment}");
        }
        if let Some(message) = row.message {
            about += &format!(": {message}");
        }
        let line = line(When::At(row.planted_at), what, "plantings", row.id, row.account_id);
        let line = Line { status: Some(row.status), trees: Some(row.trees.into()), about, ..line };
        match (row.cost_minor, row.currency) {
            (Some(minor), Some(currency)) => self.with_money(line, minor, currency),
            _ => line,
        }
    }

    fn cross_charges(&self, target: &mut Db) -> QueryResult<Vec<Line>> {
        type Row = (i64, i64, String, String, i32, i64, String, String, Option<String>);
        let rows: Vec<Row> = c::table
            .inner_join(b::table.on(b::id.eq(c::brand_id)))
            .filter(b::account_id.eq_any(self.accounts()))
            .select((
                c::id,
                b::account_id,
                b::name,
                sql::<Text>("CAST(cross_charges.period AS TEXT)"),
                c::trees,
                c::total_minor,
                c::currency,
                c::cost_centre,
                c::invoice_number,
            ))
            .load(target)?;
        let lines = rows.into_iter().map(|(id, account, brand, period, trees, total, currency, centre, invoice)| {
            let invoice = invoice.map(|number| format!(", invoice {number}")).unwrap_or_default();
            let about = format!("{brand}, cost centre {centre}{invoice}");
            let line = line(day(&period), What::CrossCharge, "cross_charges", id, account);
            self.with_money(Line { trees: Some(trees.into()), about, ..line }, total, currency)
        });
        Ok(lines.collect())
    }

    /// With what the account has after each.
    fn credit_entries(&self, target: &mut Db) -> QueryResult<Vec<Line>> {
        type Row = (i64, i64, String, i64, String, Instant);
        let rows: Vec<Row> = e::table
            .filter(e::account_id.eq_any(self.accounts()))
            .order((e::occurred_at, e::id))
            .select((e::id, e::account_id, e::currency, e::delta_minor, e::reason, e::occurred_at))
            .load(target)?;
        let mut balances: BTreeMap<(i64, String), i64> = BTreeMap::new();
        let lines = rows.into_iter().map(|(id, account, currency, minor, reason, at)| {
            let balance = balances.entry((account, currency.clone())).or_default();
            *balance += minor;
            let line = line(When::At(at), What::Credit, "credit_entries", id, account);
            let line = Line { balance_minor: Some(*balance), about: reason, ..line };
            self.with_money(line, minor, currency)
        });
        Ok(lines.collect())
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = t, check_for_backend(MultiBackend))]
struct Planting {
    id: i64,
    account_id: i64,
    brand_id: Option<i64>,
    project_id: i64,
    payment_id: Option<i64>,
    kind: String,
    status: String,
    trees: i32,
    cost_minor: Option<i64>,
    currency: Option<String>,
    recipient_email: Option<String>,
    recipient_account_id: Option<i64>,
    message: Option<String>,
    planted_at: Instant,
}
