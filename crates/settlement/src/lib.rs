//! Who pays what: verdicts on transactions and transfers, refunds, matching, allocation.
