//! What a transaction says by itself: the rules that need no other transaction.

use std::sync::Arc;

use brands::{BrandAccounts, Brands};
use invoices::InvoiceNumber;
use jiff::{SignedDuration, Timestamp};
use reference::{Amount, Currencies, KnownCurrency, PriceCells};
use replant_clean::{self as clean, Snapshot};
use replant_core::prelude::*;
use users::Emails;

use crate::codes::TransactionCode;
use crate::legacy::Transaction;
use crate::meta::email_in;
use crate::words::{Kind, Method, State};

/// A pending payment that is older than this at the snapshot has failed.
const PENDING_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A payment that its own row lets in.
#[derive(Debug, Clone, PartialEq)]
pub struct Payment {
    /// The platform's account.
    pub account_id: i64,
    /// The account is that of an e-mail in `meta`: `account_recovered`.
    pub recovered: bool,
    /// How it was paid.
    pub method: Method,
    /// What became of it, before its refunds are looked at.
    pub state: State,
    /// It was pending for too long: `stale_pending`.
    pub stale: bool,
    /// How much; positive.
    pub money: Money,
    /// When it was made.
    pub paid_at: PaidAt,
}

/// A refund that its own row lets in.
#[derive(Debug, Clone, PartialEq)]
pub struct Refund {
    /// How much, without its sign; positive.
    pub money: Money,
    /// When it was made.
    pub paid_at: PaidAt,
}

/// When a transaction happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidAt {
    /// The time.
    pub at: Timestamp,
    /// It is that of its entry: `paid_at_derived`.
    pub derived: bool,
}

impl Transaction {
    /// The cells of the amount.
    pub fn price(&self) -> PriceCells<'_> {
        PriceCells { amount: &self.amount, amount_column: "amount", currency: &self.currency }
    }

    /// The text columns that the rules name, but for those of the amount.
    pub fn texts(&self) -> [(&'static str, &Cell<String>); 5] {
        [
            ("type", &self.kind),
            ("status", &self.status),
            ("gateway", &self.gateway),
            ("gateway_ref", &self.gateway_ref),
            ("invoice_no", &self.invoice_no),
        ]
    }

    /// How it was paid, or that it gives back; none where its type is none of these.
    pub fn kind(&self) -> Option<Kind> {
        Kind::of(&clean::word(self.kind.good()?)?)
    }

    /// Whether it gives back what another one brought.
    pub fn is_refund(&self) -> bool {
        self.kind() == Some(Kind::Refund)
    }

    /// What became of it, as it is written.
    pub fn state(&self) -> Option<State> {
        State::of(&clean::word(self.status.good()?)?)
    }

    /// The gateway, in lower case, and its reference; none where either is absent.
    pub fn gateway_ref(&self) -> Option<(String, String)> {
        let reference = clean::text(self.gateway_ref.good()?).value?.into_owned();
        Some((clean::word(self.gateway.good()?)?.into_owned(), reference))
    }

    /// The number of the invoice that it pays.
    pub(crate) fn invoice(&self) -> Option<InvoiceNumber> {
        InvoiceNumber::of(&clean::text(self.invoice_no.good()?).value?)
    }

    /// # Errors
    /// `unforeseen`: a cell that the rules read holds something that its type cannot say. A time may: it is unknown then.
    fn readable(&self) -> Result<(), Refusal> {
        let ids = [
            ("user_id", &self.user_id),
            ("brand_id", &self.brand_id),
            ("parent_id", &self.parent_id),
            ("subscription_id", &self.subscription_id),
        ];
        for (column, cell) in ids {
            cell.reference(column)?;
        }
        for (column, cell) in self.texts() {
            cell.text(column)?;
        }
        Ok(())
    }
}

/// What the rules of a single transaction ask.
pub struct TransactionRules {
    pub(crate) users: Arc<Standings>,
    pub(crate) brands: Arc<Standings>,
    pub(crate) brand_accounts: Arc<BrandAccounts>,
    pub(crate) emails: Arc<Emails>,
    pub(crate) currencies: Arc<Currencies>,
    pub(crate) snapshot: Snapshot,
}

impl Lookup for TransactionRules {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        Ok(Self {
            users: cx.standings::<users::Accounts>()?,
            brands: cx.standings::<Brands>()?,
            brand_accounts: cx.lookup::<BrandAccounts>()?,
            emails: cx.lookup::<Emails>()?,
            currencies: cx.lookup::<Currencies>()?,
            snapshot: Snapshot(cx.snapshot()),
        })
    }
}

impl TransactionRules {
    /// The currencies that the platform has.
    pub fn currencies(&self) -> &clean::Currencies {
        &self.currencies.0
    }

    /// Reads a row that is no refund.
    ///
    /// # Errors
    /// The first code that applies: its parents', those of its values, its own. Doubles and conflicts come after these.
    pub fn payment(&self, row: &Transaction) -> Result<Payment, Refusal> {
        self.payment_of(row, self.amount(row))
    }

    /// What the cells of its amount say.
    ///
    /// # Errors
    /// Those of [`PriceCells::read_amount`].
    pub fn amount(&self, row: &Transaction) -> Result<(KnownCurrency, Amount), Refusal> {
        row.price().read_amount(self.currencies())
    }

    /// Reads a row that is no refund, given what [`Self::amount`] said.
    ///
    /// # Errors
    /// Those of [`Self::payment`].
    pub fn payment_of(
        &self,
        row: &Transaction,
        amount: Result<(KnownCurrency, Amount), Refusal>,
    ) -> Result<Payment, Refusal> {
        row.readable()?;
        let payer = self.payer(row)?;
        let (_, amount) = amount?;
        let method = match row.kind() {
            Some(Kind::Payment(method)) => method,
            Some(Kind::Refund) => return Err(Refusal::unforeseen("a refund was taken for a payment")),
            None => return Err(Refusal::quarantine(TransactionCode::MethodUnknown, "the type is no way to pay")),
        };
        let state = row.state().ok_or_else(status_unknown)?;
        let Some(Payer { account_id, recovered }) = payer else {
            return Err(Refusal::quarantine(TransactionCode::AccountMissing, "nobody whose payment it could be"));
        };
        let money = positive(amount)?;
        let paid_at = self.paid_at(row)?;
        let stale = state == State::Pending && paid_at.at < self.snapshot.0 - PENDING_FOR;
        let state = if stale { State::Failed } else { state };
        Ok(Payment { account_id, recovered, method, state, stale, money, paid_at })
    }

    /// Reads a refund; its payment, which is its parent, has let it in.
    ///
    /// # Errors
    /// The first code that applies: those of its values, its own. What its payment has left comes after these.
    pub fn refund(&self, row: &Transaction) -> Result<Refund, Refusal> {
        row.readable()?;
        let (_, amount) = self.amount(row)?;
        let amount = amount.unsigned()?;
        let state = row.state().ok_or_else(status_unknown)?;
        let (money, paid_at) = (positive(amount)?, self.paid_at(row)?);
        match state.came_in() {
            true => Ok(Refund { money, paid_at }),
            false => Err(Refusal::skip(TransactionCode::RefundNotDone)),
        }
    }

    /// Whose payment it is: the user's, else that of an e-mail, else the brand's. A brand is a parent only where the account
    /// would be its own.
    fn payer(&self, row: &Transaction) -> Result<Option<Payer>, Refusal> {
        let user = self.users.of(row.user_id.reference("user_id")?);
        if let Standing::Live(account_id) = user {
            return Ok(Some(Payer { account_id, recovered: false }));
        }
        let by_email = row.meta.good().and_then(|meta| self.emails.account(&self.users, &email_in(meta)?));
        if let Some(account_id) = by_email {
            Refusal::of_parents([&user])?;
            return Ok(Some(Payer { account_id, recovered: true }));
        }
        let brand = row.brand_id.reference("brand_id")?;
        Refusal::of_parents([&user, &self.brands.of(brand)])?;
        Ok(self.brand_accounts.of(brand).map(|account_id| Payer { account_id, recovered: false }))
    }

    fn paid_at(&self, row: &Transaction) -> Result<PaidAt, Refusal> {
        let happened = row.tx_when.good().and_then(|wall| reference::known_utc(wall.0, self.snapshot));
        let entered = || row.created_when.good().and_then(|wall| reference::known_london(wall.0, self.snapshot));
        let derived = || entered().map(|at| PaidAt { at, derived: true });
        happened
            .map(|at| PaidAt { at, derived: false })
            .or_else(derived)
            .ok_or_else(|| Refusal::quarantine(TransactionCode::PaidAtUnknown, "no known time"))
    }
}

/// Whose payment it is.
struct Payer {
    account_id: i64,
    recovered: bool,
}

fn positive(amount: Amount) -> Result<Money, Refusal> {
    match amount.money.minor {
        1.. => Ok(amount.money),
        _ => Err(Refusal::quarantine(TransactionCode::AmountNotPositive, "the amount is not positive")),
    }
}

fn status_unknown() -> Refusal {
    Refusal::quarantine(TransactionCode::StatusUnknown, "the status says nothing")
}

#[cfg(test)]
mod tests {
    use replant_core::Root;

    use super::*;

    fn good(text: &str) -> Cell<String> {
        Cell::Good(text.to_owned())
    }

    fn bad<T>() -> Cell<T> {
        Cell::bad("\\xff", "not valid UTF-8")
    }

    fn wall(text: &str) -> Cell<Wall> {
        Cell::Good(Wall(text.parse().unwrap()))
    }

    fn root(step: &str, key: Key) -> Root {
        Root { step: step.to_owned(), key }
    }

    /// User 1 is account 501, user 2 waits in quarantine; brand 1 is that of user 1, brand 2 waits for user 3.
    fn rules() -> TransactionRules {
        let users = [(1, Standing::Live(501)), (2, Standing::Quarantined(root("users.accounts", 2)))];
        let brands = [(1, Standing::Live(601)), (2, Standing::Quarantined(root("users.accounts", 3)))];
        let (users, brands) = (Standings::from_rows(users), Standings::from_rows(brands));
        let accounts = BrandAccounts::new(&brands, &users, [(1, Some(1))]);
        let currencies = [("GBP", 2), ("EUR", 2)].map(|(code, exponent)| (code.to_owned(), exponent));
        TransactionRules {
            users: Arc::new(users),
            brands: Arc::new(brands),
            brand_accounts: Arc::new(accounts),
            emails: Arc::new(Emails::default()),
            currencies: Arc::new(Currencies(clean::Currencies::new(currencies))),
            snapshot: Snapshot("2024-03-20T23:40:00Z".parse().unwrap()),
        }
    }

    /// A row without faults.
    fn row() -> Transaction {
        Transaction {
            id: 7,
            user_id: Cell::Good(1),
            brand_id: Cell::Null,
            kind: good("card"),
            amount: good("5"),
            currency: good("GBP"),
            status: good("paid"),
            gateway: Cell::Null,
            gateway_ref: Cell::Null,
            parent_id: Cell::Null,
            subscription_id: Cell::Null,
            invoice_no: Cell::Null,
            tx_when: wall("2023-06-01T12:00:00"),
            created_when: Cell::Null,
            meta: Cell::Null,
        }
    }

    fn code(refusal: Refusal) -> &'static str {
        match refusal {
            Refusal::Skipped(code) | Refusal::Quarantined { code, .. } => code.as_str(),
        }
    }

    #[test]
    fn a_cell_that_no_rule_speaks_of_is_unforeseen_even_before_the_parents() {
        let of_user_2 = || Transaction { user_id: Cell::Good(2), ..row() };
        for row in [
            Transaction { user_id: bad(), ..row() },
            Transaction { brand_id: bad(), ..of_user_2() },
            Transaction { kind: bad(), ..of_user_2() },
            Transaction { status: bad(), ..of_user_2() },
            Transaction { gateway: bad(), ..of_user_2() },
            Transaction { gateway_ref: bad(), ..of_user_2() },
            Transaction { parent_id: bad(), ..of_user_2() },
            Transaction { subscription_id: bad(), ..of_user_2() },
            Transaction { invoice_no: bad(), ..of_user_2() },
            Transaction { amount: bad(), ..row() },
            Transaction { currency: bad(), ..row() },
        ] {
            assert_eq!(rules().payment(&row).map_err(code), Err("unforeseen"), "{row:?}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_is_unknown_and_meta_then_names_nobody() {
        let row = Transaction { tx_when: bad(), created_when: wall("2023-06-01T12:00:00"), meta: bad(), ..row() };
        let payment = rules().payment(&row).unwrap();
        let at = "2023-06-01T11:00:00Z".parse().unwrap();
        assert_eq!((payment.account_id, payment.paid_at), (501, PaidAt { at, derived: true }));
        let nobody = Transaction { user_id: Cell::Null, ..row };
        assert_eq!(rules().payment(&nobody).map_err(code), Err("account_missing"));
    }

    #[test]
    fn a_payment_waits_for_the_row_that_its_parent_waits_for() {
        for (row, step, key) in [
            (Transaction { user_id: Cell::Good(2), ..row() }, "users.accounts", 2),
            (Transaction { user_id: Cell::Good(0), brand_id: Cell::Good(2), ..row() }, "users.accounts", 3),
        ] {
            let refused = rules().payment(&row).unwrap_err();
            assert!(matches!(refused, Refusal::Quarantined { root: Some(found), .. } if found == root(step, key)));
        }
        let of_the_brand = Transaction { user_id: Cell::Good(9), brand_id: Cell::Good(1), ..row() };
        assert_eq!(rules().payment(&of_the_brand).map(|payment| payment.account_id), Ok(501));
    }

    #[test]
    fn a_refund_needs_no_account_and_has_no_sign() {
        let refund = |amount: &str| Transaction {
            kind: good("refund"),
            amount: good(amount),
            user_id: Cell::Good(2),
            brand_id: Cell::Good(2),
            ..row()
        };
        for (amount, expect) in [
            ("5", Ok(500)),
            ("-5", Ok(500)),
            ("(5.00)", Ok(500)),
            ("-0", Err("amount_not_positive")),
            ("-92233720368547758.07", Ok(i64::MAX)),
            ("-92233720368547758.08", Err("value_out_of_range")),
        ] {
            let found = rules().refund(&refund(amount)).map(|refund| refund.money.minor).map_err(code);
            assert_eq!(found, expect, "{amount}");
        }
    }
}
