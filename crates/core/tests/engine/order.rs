//! The registry: in which order the steps run, and when there is none.

use replant_core::prelude::*;
use replant_core::{OrderError, Registry, RunError, Settings};

use crate::toy::legacy::Part;
use crate::toy::target::PartRows;
use crate::world::{World, snapshot, sqlite};

/// A step of nothing but a name and what it waits for.
macro_rules! steps {
    ($($step:ident $name:literal after $after:expr;)+) => { $(
        struct $step;
        impl Step for $step {
            const NAME: &'static str = $name;
            const ABOUT: &'static str = "nothing";
            const AFTER: &'static [&'static str] = &$after;
            const TARGET: &'static str = "parts";
            const FATES: &'static [(&'static str, Fate)] = &[];
            type Legacy = Part;
            type Lookups = ();
            type Rows = PartRows;
            fn writes() -> Vec<TableShape> {
                Vec::new()
            }
            fn prepare(_: &Prepare<'_>) -> Result<(), PrepareError> {
                Ok(())
            }
            fn transform(_: &(), _: &Unit<'_, Part>, _: &mut Draft<PartRows>) -> Result<i64, Refusal> {
                Err(Refusal::skip("nothing"))
            }
        }
    )+ };
}

steps! {
    A "x.a" after ["x.c"];
    B "x.b" after [];
    C "x.c" after [];
    D "y.d" after ["x.a"];
    Hen "z.hen" after ["z.egg"];
    Egg "z.egg" after ["z.hen"];
    Snake "z.snake" after ["z.snake"];
    Lost "z.lost" after ["nowhere.found"];
}

/// The names of the steps in their order.
fn ordered(registry: &Registry, only: &[&str]) -> Result<Vec<&'static str>, OrderError> {
    let (world, target) = (World::new(""), sqlite());
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    let migration = replant_core::Migration {
        registry,
        snapshot,
        legacy: world.legacy.clone(),
        target: target.url.clone(),
        settings: Settings { only, ..Settings::default() },
    };
    match migration.plan() {
        Ok(plan) => Ok(plan.steps.iter().map(|step| step.step).collect()),
        Err(RunError::Order(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

fn xy() -> Registry {
    Registry::default()
        .domain(Domain::new("x").step::<A>().step::<B>().step::<C>())
        .domain(Domain::new("y").step::<D>())
}

#[test]
fn steps_stand_after_those_that_they_wait_for_and_else_as_they_were_registered() {
    let order = ordered(&xy(), &[]).unwrap();
    let place = |step: &str| order.iter().position(|other| *other == step).unwrap();
    assert!(place("x.c") < place("x.a") && place("x.a") < place("y.d"), "{order:?}");
    let free = Registry::default().domain(Domain::new("x").step::<C>().step::<B>());
    assert_eq!(ordered(&free, &[]).unwrap(), ["x.c", "x.b"]);
}

#[test]
fn a_selection_brings_all_that_it_waits_for() {
    assert_eq!(ordered(&xy(), &["y"]).unwrap(), ["x.c", "x.a", "y.d"]);
    assert_eq!(ordered(&xy(), &["x.b"]).unwrap(), ["x.b"]);
}

#[test]
fn what_cannot_be_put_in_order_is_named() {
    let unknown = OrderError::Unknown { asked: "w".to_owned(), known: vec!["x", "y"] };
    assert_eq!(ordered(&xy(), &["w"]), Err(unknown));

    let lost = Registry::default().domain(Domain::new("z").step::<Lost>());
    let missing = OrderError::Unregistered { step: "z.lost", missing: "nowhere.found" };
    assert_eq!(ordered(&lost, &[]), Err(missing));

    let twice = Registry::default().domain(Domain::new("x").step::<B>()).domain(Domain::new("z").step::<B>());
    assert_eq!(ordered(&twice, &[]), Err(OrderError::Twice("x.b")));
}

#[test]
fn steps_that_wait_for_each_other_are_named() {
    let circle = |domain: Domain| match ordered(&Registry::default().domain(domain), &[]) {
        Err(OrderError::Circle(mut steps)) => {
            steps.sort_unstable();
            steps
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(circle(Domain::new("z").step::<Hen>().step::<B>().step::<Egg>()), ["z.egg", "z.hen"]);
    assert_eq!(circle(Domain::new("z").step::<B>().step::<Snake>()), ["z.snake"]);
}
