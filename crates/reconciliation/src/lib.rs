//! Both sides held against each other, and a customer's whole history.
