//! What several signals say together: the worst of those that are gradual, and whether one of the others stops the migration. One that
//! is not observed any more counts against it.

use std::time::Duration;

use super::law::Said;

/// How a signal acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalKind {
    /// The nearer to its limit, the fewer writers.
    Gradual,
    /// Beyond its limit everything stops.
    Binary,
}

/// What follows when a signal cannot be observed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenLost {
    /// Everything stops: what cannot be seen may be going wrong.
    #[default]
    Pause,
    /// The pace does not grow.
    Hold,
    /// It goes on as if the signal said nothing. Every `status` tells so.
    Ignore,
}

/// A signal as it was observed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Its name.
    pub name: String,
    /// How it acts.
    pub kind: SignalKind,
    /// The value, in thousandths of the limit.
    pub utilization: u32,
    /// How long ago.
    pub age: Duration,
    /// What follows when it is not observed any more.
    pub when_lost: WhenLost,
}

/// What is older says nothing any more.
pub const STALE: Duration = Duration::from_secs(15);

/// A gradual signal that is lost for longer stops everything.
const LOST: Duration = Duration::from_secs(60);

/// What a signal that is lost has the pace do: neither grow nor shed.
const HOLDS: u32 = 550;

/// What one signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum One {
    Nothing,
    Utilization(u32),
    Veto,
}

impl Reading {
    fn says(&self) -> One {
        let lost_for = match self.kind {
            SignalKind::Gradual => LOST,
            SignalKind::Binary => STALE,
        };
        match (self.kind, self.when_lost) {
            (SignalKind::Gradual, _) if self.age <= STALE => One::Utilization(self.utilization),
            (SignalKind::Binary, _) if self.age <= STALE => {
                if self.utilization >= 1_000 {
                    One::Veto
                } else {
                    One::Nothing
                }
            }
            (_, WhenLost::Ignore) => One::Nothing,
            (_, WhenLost::Pause) if self.age > lost_for => One::Veto,
            (_, WhenLost::Pause | WhenLost::Hold) => One::Utilization(HOLDS),
        }
    }
}

/// What signals say together, and which of them decides: none where none says anything.
pub fn together(readings: &[Reading]) -> (Said, Option<&Reading>) {
    let decides = readings.iter().max_by_key(|reading| reading.says()).filter(|reading| reading.says() > One::Nothing);
    let utilization = |reading: &Reading| match reading.says() {
        One::Utilization(utilization) => Some(utilization),
        One::Nothing | One::Veto => None,
    };
    let utilization = readings.iter().filter_map(utilization).max().unwrap_or(0);
    let vetoed = decides.is_some_and(|reading| reading.says() == One::Veto);
    (Said { utilization, vetoed }, decides)
}

/// The utilization of a latency, in thousandths: nothing at what it is when the site is alone, all at the limit.
pub fn of_latency(latency: Duration, alone: Duration, limit: Duration) -> u32 {
    let (above, room) = (latency.saturating_sub(alone).as_micros(), limit.saturating_sub(alone).as_micros().max(1));
    u32::try_from((above * 1_000 / room).min(4_000)).expect("4,000 at the most")
}

/// The limit of a latency: a quarter more than when the site is alone, or 5 ms more where that is more, and never above `most`.
pub fn latency_limit(alone: Duration, most: Duration) -> Duration {
    (alone * 5 / 4).max(alone + Duration::from_millis(5)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(kind: SignalKind, utilization: u32, age_s: u64, when_lost: WhenLost) -> Reading {
        Reading { name: "a signal".to_owned(), kind, utilization, age: Duration::from_secs(age_s), when_lost }
    }

    #[test]
    fn one_signal_says() {
        use SignalKind::{Binary, Gradual};
        use WhenLost::{Hold, Ignore, Pause};
        for (kind, utilization, age_s, when_lost, said) in [
            (Gradual, 300, 0, Pause, One::Utilization(300)),
            (Gradual, 300, 15, Pause, One::Utilization(300)),
            (Gradual, 300, 16, Pause, One::Utilization(HOLDS)),
            (Gradual, 300, 60, Pause, One::Utilization(HOLDS)),
            (Gradual, 300, 61, Pause, One::Veto),
            (Gradual, 300, 61, Hold, One::Utilization(HOLDS)),
            (Gradual, 1_300, 61, Ignore, One::Nothing),
            (Binary, 999, 0, Pause, One::Nothing),
            (Binary, 1_000, 0, Pause, One::Veto),
            (Binary, 1_000, 0, Ignore, One::Veto),
            (Binary, 0, 16, Pause, One::Veto),
            (Binary, 0, 16, Hold, One::Utilization(HOLDS)),
            (Binary, 5_000, 16, Ignore, One::Nothing),
        ] {
            assert_eq!(
                reading(kind, utilization, age_s, when_lost).says(),
                said,
                "{kind:?} {utilization} {age_s} {when_lost:?}"
            );
        }
    }

    #[test]
    fn the_worst_decides() {
        let gradual = |utilization| reading(SignalKind::Gradual, utilization, 0, WhenLost::Pause);
        let binary = |utilization| reading(SignalKind::Binary, utilization, 0, WhenLost::Pause);
        let none = Said { utilization: 0, vetoed: false };
        assert_eq!(together(&[]), (none, None));
        assert_eq!(together(&[binary(900)]), (none, None));
        let some = [gradual(200), binary(900), gradual(450)];
        assert_eq!(together(&some), (Said { utilization: 450, vetoed: false }, Some(&some[2])));
        let stopped = [gradual(1_200), binary(1_100)];
        assert_eq!(together(&stopped), (Said { utilization: 1_200, vetoed: true }, Some(&stopped[1])));
    }

    #[test]
    fn latency_counts_from_what_it_is_when_the_site_is_alone() {
        let ms = Duration::from_millis;
        for (alone, most, limit) in [(2, 250, 7), (20, 250, 25), (100, 250, 125), (300, 250, 250)] {
            assert_eq!(latency_limit(ms(alone), ms(most)), ms(limit), "{alone}");
        }
        for (latency, utilization) in [(1, 0), (2, 0), (4, 400), (7, 1_000), (12, 2_000), (90, 4_000)] {
            assert_eq!(of_latency(ms(latency), ms(2), ms(7)), utilization, "{latency}");
        }
        // The site alone is beyond the limit already.
        assert_eq!(of_latency(ms(301), ms(300), ms(250)), 4_000);
        assert_eq!(of_latency(ms(300), ms(300), ms(250)), 0);
    }
}
