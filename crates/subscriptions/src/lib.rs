//! Legacy subscriptions become subscriptions.
