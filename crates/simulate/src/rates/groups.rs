//! All rates, with their defaults.

use serde::{Deserialize, Serialize};

use super::RatesError;

/// Structs of shares, each with its default, and all of them together.
macro_rules! rates {
    ($($(#[$of_group:meta])* $group:ident: $Group:ident { $($(#[$of_rate:meta])* $rate:ident = $share:literal,)* })*) => {
        $(
            $(#[$of_group])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $Group { $($(#[$of_rate])* pub $rate: f64,)* }

            impl Default for $Group {
                fn default() -> Self {
                    Self { $($rate: $share,)* }
                }
            }
        )*

        /// How often each kind of dirt comes up, from 0 (never) to 1 (in every row). The defaults are those of the sample.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Rates { $($(#[$of_group])* pub $group: $Group,)* }

        impl Rates {
            /// The first that is no share.
            pub(super) fn wrong(&self) -> Option<RatesError> {
                $($(
                    if !(0.0..=1.0).contains(&self.$group.$rate) {
                        return Some(RatesError::Share { group: stringify!($group), name: stringify!($rate) });
                    }
                )*)*
                None
            }
        }
    };
}

rates! {
    /// Of cells of free text.
    text: TextRates {
        /// Zero-width characters and blanks around.
        invisible = 0.0038,
        /// UTF-8 that was read as windows-1252, once or twice; of texts that are not ASCII alone.
        mojibake = 0.003,
        /// HTML entities; of texts that have something to write so.
        entity = 0.002,
    }
    /// Of e-mail addresses.
    email: EmailRates {
        /// Capitals.
        capitals = 0.02,
        /// `mailto:`, brackets, blanks, a trailing `;`, zero-width characters.
        wrapped = 0.04,
        /// Addresses in domains beyond ASCII.
        international = 0.016,
    }
    /// Of DATETIMEs.
    time: TimeRates {
        /// `0000-00-00 00:00:00`.
        zero = 0.0028,
        /// NULL.
        null = 0.0014,
        /// Before 2015 or after the snapshot.
        implausible = 0.0005,
        /// In the hour that a clock change skips or repeats.
        clock_change = 0.0025,
    }
    /// Of amounts and their currencies, wherever they stand.
    money: MoneyRates {
        /// Amounts with a symbol, a code, a comma, blanks, in pence.
        styled = 0.14,
        /// Amounts whose symbol was misread, or with something invisible in them.
        misread = 0.0018,
        /// Words and rubbish.
        invalid = 0.0011,
        /// More digits than the currency has.
        fraction = 0.0016,
        /// Zero or below.
        not_positive = 0.0016,
        /// Beyond what a column can hold.
        out_of_range = 0.00002,
        /// An amount in another currency than its column says.
        conflict = 0.0013,
        /// A currency that there is not.
        currency_unknown = 0.0014,
        /// No currency.
        currency_absent = 0.0028,
        /// Symbols, lower case, `STG`, `UKP`, `EURO`.
        currency_spelled = 0.055,
    }
    /// Whose rows they are.
    skew: SkewRates {
        /// The brand with the most rows; of rows of brands.
        first_brand = 0.36,
        /// Users who own a brand; of rows of users.
        owners = 0.1,
        /// Users who come back again and again, ever fewer of them the more often; of rows of users.
        regulars = 0.15,
    }
    /// Of references to other rows.
    link: LinkRates {
        /// A user that there is not, or 0; of any row.
        user_missing = 0.0018,
    }
    /// Of users.
    user: UserRates {
        /// Rows of a person who has one already, under the same address.
        duplicate = 0.0284,
        /// Tests of the team's own.
        test = 0.0034,
        /// No address, or none that is valid.
        email_invalid = 0.0045,
        /// No first name; the same of last names.
        name_absent = 0.068,
        /// No display name.
        display_name_absent = 0.302,
        /// A display name that is too long.
        display_name_long = 0.0018,
        /// No phone number.
        phone_absent = 0.59,
        /// A phone number that is none.
        phone_invalid = 0.011,
        /// No country.
        country_absent = 0.236,
        /// A country that there is not.
        country_unknown = 0.0087,
        /// No password.
        password_absent = 0.0735,
        /// MD5, plain text.
        password_other = 0.0245,
        /// Deleted ones.
        deleted = 0.03,
        /// The time of a bulk import in the place of their own.
        import_marker = 0.0111,
        /// No time of a last login.
        login_absent = 0.2,
        /// A last login that is none.
        login_invalid = 0.0125,
        /// Accounts that the pre-launch migration has moved.
        prelaunch = 0.33,
        /// A time of sign-up after the first that they did.
        signed_up_late = 0.03,
        /// A credit counter that drifted away.
        credits_drifted = 0.13,
    }
    /// Of brands.
    brand: BrandRates {
        /// No user.
        owner_missing = 0.0286,
        /// A user who has a brand already.
        owner_shared = 0.0286,
        /// No name.
        name_missing = 0.0286,
        /// Another one's name, with something invisible in it.
        name_twice = 0.0286,
        /// No currency.
        currency_absent = 0.0286,
        /// No way of billing, or none that is known.
        billing_unknown = 0.23,
        /// A user who is a test.
        owner_test = 0.0286,
        /// A user who has no valid address.
        owner_address = 0.0286,
    }
    /// Of projects.
    project: ProjectRates {
        /// Another one's name, in another spelling.
        duplicate = 0.125,
        /// No name.
        name_missing = 0.0625,
        /// Latitude and longitude the wrong way round.
        swapped = 0.0625,
        /// No position, or none that can be read.
        position_unknown = 0.1875,
        /// A country that there is not.
        country_unknown = 0.0625,
    }
    /// Of plantations.
    plantation: PlantationRates {
        /// A finance transaction behind it.
        paid = 0.42,
        /// Through a brand's own site or shop.
        of_brand = 0.36,
        /// A row that was posted twice.
        duplicate = 0.0021,
        /// A transaction that there is not, or 0.
        payment_missing = 0.0018,
        /// Someone else's user id beside the transaction.
        payment_of_other = 0.0022,
        /// A brand that there is not.
        brand_missing = 0.00012,
        /// Neither a user nor a brand.
        account_missing = 0.0015,
        /// A project that there is not.
        project_missing = 0.00095,
        /// No trees, none, fewer than none.
        trees_not_positive = 0.0011,
        /// Cancelled.
        cancelled = 0.0135,
        /// A status that there is not.
        status_unknown = 0.0019,
        /// A source that there is not.
        source_unknown = 0.0013,
        /// No cost.
        cost_absent = 0.0886,
        /// A cost below zero.
        cost_negative = 0.0024,
        /// A gift to what is no address.
        recipient_invalid = 0.0044,
        /// Gifts to people who have an account.
        recipient_known = 0.44,
    }
    /// Of finance transactions.
    transaction: TransactionRates {
        /// Refunds.
        refund = 0.028,
        /// Refunds that name no payment, one that failed, one of another currency.
        refund_orphan = 0.0007,
        /// Refunds of more than the payment.
        refund_excess = 0.0008,
        /// Refunds that failed or are pending.
        refund_open = 0.0004,
        /// Payments of a subscription.
        of_subscription = 0.123,
        /// Payments of an invoice.
        of_invoice = 0.017,
        /// Payments of a brand.
        of_brand = 0.19,
        /// A payment that its gateway posted again.
        posted_again = 0.0021,
        /// The same reference for something else.
        reference_conflict = 0.0003,
        /// A payment without a user whose JSON names one.
        user_in_meta = 0.0055,
        /// A payment without a user, a brand, or an address.
        account_missing = 0.0022,
        /// A method that there is not.
        method_unknown = 0.0014,
        /// A status that there is not.
        status_unknown = 0.0011,
        /// Failed.
        failed = 0.043,
        /// Pending, most of them for too long.
        pending = 0.007,
        /// Refunded, without a refund of their own.
        refunded = 0.015,
        /// No time at all.
        time_absent = 0.0009,
        /// A subscription that there is not; of payments of one.
        subscription_missing = 0.0024,
        /// No JSON; of rows whose JSON would be whole and name nobody.
        meta_absent = 0.8,
        /// JSON that is cut off, or is none.
        meta_broken = 0.058,
        /// Payments that the live platform has already.
        native = 0.001,
    }
    /// Of subscriptions.
    subscription: SubscriptionRates {
        /// One more of the same user.
        of_same_user = 0.12,
        /// The same gateway reference as another one.
        duplicate = 0.0046,
        /// No plan.
        plan_absent = 0.078,
        /// No trees.
        trees_not_positive = 0.0029,
        /// An interval that there is not.
        interval_unknown = 0.0029,
        /// A status that there is not.
        status_unknown = 0.004,
        /// Running, with a time of cancellation.
        contradiction = 0.0046,
        /// Cancelled, at no time or before it began.
        cancellation_odd = 0.0025,
        /// Running, with a billing long overdue.
        overdue = 0.02,
        /// A start at no time.
        start_unknown = 0.0069,
    }
    /// Of invoices.
    invoice: InvoiceRates {
        /// The number of another one with the same total.
        duplicate = 0.0095,
        /// The number of another one with another total.
        conflict = 0.0048,
        /// No number.
        number_invalid = 0.0072,
        /// Issued at no time.
        issued_unknown = 0.0072,
        /// Due before it was issued.
        due_before = 0.0048,
        /// No due date.
        due_absent = 0.19,
    }
    /// Of bank transfers.
    transfer: TransferRates {
        /// Those that the finance transactions have as well.
        recorded = 0.41,
        /// Of these, those that name the transaction.
        names_transaction = 0.5,
        /// Those that name invoices.
        of_invoice = 0.33,
        /// No user, 0, or one that there is not.
        user_missing = 0.47,
        /// No address.
        email_absent = 0.3,
        /// Nothing that tells who paid.
        payer_unknown = 0.024,
        /// Pending.
        pending = 0.055,
        /// Reversed.
        reversed = 0.0245,
        /// A status that there is not.
        status_unknown = 0.003,
        /// Received at no time.
        received_unknown = 0.0115,
    }
    /// Of cross-charges.
    charge: ChargeRates {
        /// A further revision of the row before.
        revised = 0.042,
        /// No brand, 0, or one that there is not, with its name.
        brand_by_name = 0.186,
        /// A brand that there is not, or a name that several have.
        brand_unknown = 0.059,
        /// A period that is none.
        period_invalid = 0.003,
        /// No trees.
        trees_not_positive = 0.0036,
        /// A price that is none.
        price_invalid = 0.0072,
        /// A price of a part of a penny.
        price_fraction = 0.034,
        /// No total, or another one than trees times price.
        total_wrong = 0.045,
        /// Void.
        void = 0.031,
    }
    /// Of credit entries.
    credit: CreditRates {
        /// A row that was posted twice.
        duplicate = 0.0036,
        /// Zero.
        zero = 0.0011,
        /// A reason that there is not.
        reason_unknown = 0.0022,
        /// Accounts that spent more than they had.
        overdrawn = 0.02,
    }
    /// Of the live platform's own rows.
    platform: PlatformRates {
        /// Accounts opened since the launch, for each legacy user.
        native = 0.06,
        /// Of these, those with the address of a legacy user.
        same_person = 0.35,
        /// Pre-launch accounts whose owner changed the address since.
        email_changed = 0.017,
        /// Pre-launch accounts whose owner changed the name since.
        name_changed = 0.07,
        /// Accounts that were closed since.
        closed = 0.011,
        /// Accounts with payments and plantings of their own.
        active = 0.22,
        /// Accounts with a subscription of their own.
        subscribed = 0.05,
    }
}
