//! Legacy transactions become payments and refunds, and settle invoices.
