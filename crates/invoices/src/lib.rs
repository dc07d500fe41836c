//! Legacy invoices become invoices.
