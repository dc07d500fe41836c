//! How many writers the site has room for: the zone law of Spirit, with shares of a writer. All numbers are thousandths, of a writer or
//! of a signal's limit.

use std::time::Duration;

/// Writers over all machines. 1,500 thousandths are one that works all the time and one that works half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Writers(u32);

/// The longest rest of a writer between two chunks.
const LONGEST_REST: Duration = Duration::from_secs(30);

impl Writers {
    /// So many thousandths of a writer.
    pub const fn of_thousandths(thousandths: u32) -> Self {
        Self(thousandths)
    }

    /// In thousandths.
    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// Those that work all the time.
    pub fn whole(self) -> u32 {
        self.0 / 1_000
    }

    /// The share of the time, in thousandths, that one more works.
    pub fn share_of_last(self) -> u32 {
        self.0 % 1_000
    }

    /// How long the one that works a share of the time rests after a chunk that kept it busy so long.
    pub fn rest(self, busy: Duration) -> Duration {
        match self.share_of_last() {
            0 => Duration::ZERO,
            share => (busy * (1_000 - share) / share).min(LONGEST_REST),
        }
    }

    /// What falls to a process that has `own` of `all` writers.
    #[must_use]
    pub fn share(self, own: u32, all: u32) -> Self {
        let share = u64::from(self.0) * u64::from(own) / u64::from(all.max(1));
        Self(u32::try_from(share).unwrap_or(u32::MAX))
    }
}

/// What is to be done at a utilization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    Grow,
    Hold,
    Shed,
    Halve,
}

impl Zone {
    fn of(utilization: u32) -> Self {
        match utilization {
            ..400 => Self::Grow,
            400..700 => Self::Hold,
            700..1_000 => Self::Shed,
            1_000.. => Self::Halve,
        }
    }
}

/// What the signals say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Of the gradual signal that is nearest to its limit, or farthest beyond: the utilization in thousandths of that limit.
    pub utilization: u32,
    /// Whether a signal stops the migration.
    pub vetoed: bool,
}

/// What a tick came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// The number of writers was halved, and the migration goes on.
    Halved,
    /// A signal stops the migration.
    Stopped,
    /// A little less.
    Shed,
    /// A little more.
    Grown,
    /// As it was.
    Held,
}

/// The number of writers from tick to tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    writers: Writers,
    most: Writers,
    /// Ticks until it may go up, and down.
    cooldown: (u32, u32),
    /// Ticks that it has been stopped for.
    stopped: u32,
}

/// The time between two ticks.
pub const TICK: Duration = Duration::from_secs(5);

/// Ticks without a move that follow one.
const IDLE_TICKS: u32 = 2;

/// Ticks of a stop after which it goes on at half of what it was: a minute.
const LONG_STOP: u32 = 12;

/// Never fewer writers: else nothing would tell that there is room again.
const FLOOR: Writers = Writers(50);

/// What it begins with.
const FIRST: Writers = Writers(500);

/// The least that is added or taken.
const LEAST_STEP: u32 = 100;

impl Throttle {
    /// Begins, with no more than `most` writers ever.
    pub fn new(most: Writers) -> Self {
        let most = most.max(FLOOR);
        Self { writers: FIRST.min(most), most, cooldown: (0, 0), stopped: 0 }
    }

    /// What is allowed now.
    pub fn writers(&self) -> Writers {
        self.writers
    }

    /// Goes on after a stop of which nothing was seen here: with half of what it was.
    pub fn resume(&mut self) {
        self.writers = self.bounded(self.writers.0 / 2);
        self.stopped = 0;
    }

    /// Takes in what signals say, once a tick.
    pub fn tick(&mut self, said: Said) -> Move {
        let (up, down) = self.cooldown;
        self.cooldown = (up.saturating_sub(1), down.saturating_sub(1));
        let zone = Zone::of(said.utilization);
        if zone == Zone::Halve && down == 0 {
            self.decrease(self.writers.0 / 2);
            if !said.vetoed {
                self.stopped = 0;
                return Move::Halved;
            }
        }
        if said.vetoed {
            self.stopped += 1;
            return Move::Stopped;
        }
        if self.stopped >= LONG_STOP {
            self.resume();
        }
        self.stopped = 0;
        let step = (self.writers.0 / 10).max(LEAST_STEP);
        match zone {
            Zone::Shed if down == 0 => {
                self.decrease(self.writers.0.saturating_sub(step));
                Move::Shed
            }
            Zone::Grow if up == 0 && self.writers < self.most => {
                self.writers = self.bounded(self.writers.0.saturating_add(step));
                self.cooldown.0 = IDLE_TICKS;
                Move::Grown
            }
            Zone::Grow | Zone::Hold | Zone::Shed | Zone::Halve => Move::Held,
        }
    }

    fn decrease(&mut self, to: u32) {
        self.writers = self.bounded(to);
        self.cooldown = (IDLE_TICKS, IDLE_TICKS);
    }

    fn bounded(&self, thousandths: u32) -> Writers {
        Writers(thousandths).clamp(FLOOR, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VETO: u32 = u32::MAX;

    /// What is tried, writers at the beginning and at the most, utilizations, and what each comes to.
    type Case<'a> = (&'a str, u32, u32, &'a [u32], &'a [(Move, u32)]);

    /// Ticks through utilizations, from so many writers.
    fn ticks(from: u32, most: u32, utilizations: &[u32]) -> Vec<(Move, u32)> {
        let mut throttle = Throttle { writers: Writers(from), ..Throttle::new(Writers(most)) };
        let said = |utilization| match utilization {
            VETO => Said { utilization: 0, vetoed: true },
            utilization => Said { utilization, vetoed: false },
        };
        let tick = |utilization: &u32| (throttle.tick(said(*utilization)), throttle.writers().thousandths());
        utilizations.iter().map(tick).collect()
    }

    #[test]
    fn zones_end_where_the_next_begins() {
        for (utilization, zone) in [
            (0, Zone::Grow),
            (399, Zone::Grow),
            (400, Zone::Hold),
            (699, Zone::Hold),
            (700, Zone::Shed),
            (999, Zone::Shed),
            (1_000, Zone::Halve),
            (4_000, Zone::Halve),
        ] {
            assert_eq!(Zone::of(utilization), zone, "{utilization}");
        }
    }

    #[test]
    fn writers_follow_the_law() {
        use Move::{Grown, Halved, Held, Shed, Stopped};
        let cases: [Case<'_>; 9] = [
            (
                "grows by a tenth of a writer, with two idle ticks between",
                500,
                4_000,
                &[0, 0, 0, 0],
                &[(Grown, 600), (Held, 600), (Held, 600), (Grown, 700)],
            ),
            ("grows by a tenth of many", 3_000, 8_000, &[100], &[(Grown, 3_300)]),
            (
                "never above the most",
                3_950,
                4_000,
                &[0, 0, 0, 0],
                &[(Grown, 4_000), (Held, 4_000), (Held, 4_000), (Held, 4_000)],
            ),
            (
                "sheds a tenth",
                2_000,
                4_000,
                &[800, 800, 800, 800],
                &[(Shed, 1_800), (Held, 1_800), (Held, 1_800), (Shed, 1_620)],
            ),
            ("halves", 2_000, 4_000, &[1_000], &[(Halved, 1_000)]),
            ("a move up does not keep it from going down", 500, 4_000, &[0, 1_500], &[(Grown, 600), (Halved, 300)]),
            (
                "a move down keeps it from going up",
                1_000,
                4_000,
                &[1_500, 0, 0, 0],
                &[(Halved, 500), (Held, 500), (Held, 500), (Grown, 600)],
            ),
            (
                "never below the floor",
                60,
                4_000,
                &[4_000, 4_000, 4_000, 4_000],
                &[(Halved, 50), (Held, 50), (Held, 50), (Halved, 50)],
            ),
            (
                "a veto stops it and moves nothing",
                800,
                4_000,
                &[VETO, VETO, 500],
                &[(Stopped, 800), (Stopped, 800), (Held, 800)],
            ),
        ];
        for (what, from, most, utilizations, expected) in cases {
            assert_eq!(ticks(from, most, utilizations), expected, "{what}");
        }
    }

    #[test]
    fn what_is_overloaded_is_halved_even_while_it_is_stopped() {
        let mut throttle = Throttle::new(Writers(4_000));
        assert_eq!(throttle.tick(Said { utilization: 2_000, vetoed: true }), Move::Stopped);
        assert_eq!(throttle.writers(), Writers(250));
    }

    #[test]
    fn a_long_stop_is_followed_by_half_of_what_it_was() {
        for (stopped, after) in [(11, 2_000), (12, 1_000)] {
            let mut utilizations = vec![VETO; stopped];
            utilizations.push(500);
            assert_eq!(ticks(2_000, 4_000, &utilizations).last(), Some(&(Move::Held, after)), "{stopped} ticks");
        }
    }

    #[test]
    fn it_begins_with_half_a_writer() {
        assert_eq!(Throttle::new(Writers(4_000)).writers(), Writers(500));
        assert_eq!(Throttle::new(Writers(300)).writers(), Writers(300));
        assert_eq!(Throttle::new(Writers(0)).writers(), FLOOR);
    }

    #[test]
    fn the_last_writer_rests() {
        let busy = Duration::from_millis(250);
        for (writers, whole, rest_ms) in
            [(2_000, 2, 0), (1_500, 1, 250), (250, 0, 750), (1_333, 1, 500), (50, 0, 4_750), (1, 0, 30_000)]
        {
            let writers = Writers(writers);
            assert_eq!(writers.whole(), whole);
            assert_eq!(writers.rest(busy).as_millis(), rest_ms, "{writers:?}");
        }
    }

    #[test]
    fn processes_have_their_shares() {
        assert_eq!(Writers(1_500).share(2, 6), Writers(500));
        assert_eq!(Writers(1_500).share(1, 0), Writers(1_500));
    }
}
