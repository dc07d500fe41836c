//! Bank transfers that no list showed become payments.
