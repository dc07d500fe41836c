//! A domain is a list of steps; the registry puts the steps of all domains in the order in which they can run.

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::FxHashMap;

use super::step::{AnyStep, Typed};
use crate::contract::legacy::Fate;
use crate::contract::step::Step;
use crate::storage::shape::TableShape;

/// A business area: its name and its steps.
pub struct Domain {
    name: &'static str,
    steps: Vec<Box<dyn AnyStep>>,
}

impl Domain {
    /// A domain without steps.
    pub fn new(name: &'static str) -> Self {
        Self { name, steps: Vec::new() }
    }

    /// Adds a step.
    #[must_use]
    pub fn step<S: Step>(mut self) -> Self {
        self.steps.push(Box::new(Typed::<S>::new()));
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// A step, its legacy table and what becomes of the columns of that.
pub type StepFates = (&'static str, &'static str, &'static [(&'static str, Fate)]);

/// Every domain of a migration.
#[derive(Default)]
pub struct Registry {
    domains: Vec<Domain>,
}

/// Why the steps cannot be put in order. A mistake of the code, or of a selection.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OrderError {
    /// Steps wait for each other.
    #[error("these steps wait for each other: {}", .0.join(", "))]
    Circle(Vec<&'static str>),
    /// A step waits for one that is not registered.
    #[error("step `{step}` comes after `{missing}`, which no registered domain has")]
    Unregistered {
        /// The step.
        step: &'static str,
        /// What it waits for.
        missing: &'static str,
    },
    /// Two steps have one name.
    #[error("two steps are called `{0}`")]
    Twice(&'static str),
    /// A name that was asked for is unknown.
    #[error("there is no domain `{asked}`: there are {}", .known.join(", "))]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<&'static str>,
    },
}

impl Registry {
    /// Adds a domain.
    #[must_use]
    pub fn domain(mut self, domain: Domain) -> Self {
        self.domains.push(domain);
        self
    }

    /// The names of the domains.
    pub fn names(&self) -> Vec<&'static str> {
        self.domains.iter().map(Domain::name).collect()
    }

    /// Every step, in the order of registration.
    pub fn steps(&self) -> impl Iterator<Item = &dyn AnyStep> {
        self.domains.iter().flat_map(|domain| &domain.steps).map(|step| &**step)
    }

    /// Every step with its legacy table and what becomes of the columns of that.
    pub fn fates(&self) -> Vec<StepFates> {
        let steps = self.domains.iter().flat_map(|domain| &domain.steps);
        steps.map(|step| (step.name(), step.legacy_table(), step.fates())).collect()
    }

    /// The legacy tables that the steps read and the target tables that they write, as `table!` declares them.
    pub fn shapes(&self) -> (Vec<TableShape>, Vec<TableShape>) {
        let steps = || self.domains.iter().flat_map(|domain| &domain.steps);
        (steps().flat_map(|step| step.reads()).collect(), steps().flat_map(|step| step.writes()).collect())
    }

    /// All steps, each after those that it waits for; steps that do not wait for each other stand in the order of
    /// their registration.
    ///
    /// # Errors
    /// The steps cannot be put in order.
    pub(crate) fn ordered(&self) -> Result<Vec<&dyn AnyStep>, OrderError> {
        let steps: Vec<&dyn AnyStep> = self.domains.iter().flat_map(|d| &d.steps).map(|s| &**s).collect();
        let mut graph = DiGraph::<usize, ()>::new();
        let mut nodes = FxHashMap::default();
        // petgraph's order ends with the node that it visited first: added in reverse, the order of registration is kept.
        for (place, step) in steps.iter().enumerate().rev() {
            if nodes.insert(step.name(), graph.add_node(place)).is_some() {
                return Err(OrderError::Twice(step.name()));
            }
        }
        for step in &steps {
            for before in step.after() {
                let missing = || OrderError::Unregistered { step: step.name(), missing: before };
                let before = nodes.get(before).ok_or_else(missing)?;
                graph.add_edge(*before, nodes[step.name()], ());
            }
        }
        match toposort(&graph, None) {
            Ok(order) => Ok(order.into_iter().map(|node| steps[graph[node]]).collect()),
            Err(_) => {
                let circles = |group: &Vec<NodeIndex>| group.len() > 1 || graph.contains_edge(group[0], group[0]);
                let circle = tarjan_scc(&graph).into_iter().find(circles).unwrap_or_default();
                Err(OrderError::Circle(circle.into_iter().map(|node| steps[graph[node]].name()).collect()))
            }
        }
    }

    /// The steps of the domains (or single steps) that `only` names, with all that they wait for, in order. All where
    /// it names none.
    ///
    /// # Errors
    /// A name is unknown, or the steps cannot be put in order.
    pub(crate) fn selected(&self, only: &[String]) -> Result<Vec<&dyn AnyStep>, OrderError> {
        let ordered = self.ordered()?;
        let mut wanted: Vec<&'static str> = self.named(only)?.iter().map(|step| step.name()).collect();
        for step in ordered.iter().rev() {
            if wanted.contains(&step.name()) {
                wanted.extend(step.after());
            }
        }
        Ok(ordered.into_iter().filter(|step| wanted.contains(&step.name())).collect())
    }

    /// The steps of the domains (or single steps) that `only` names, and no others, in order. All where it names none.
    ///
    /// # Errors
    /// A name is unknown, or the steps cannot be put in order.
    pub(crate) fn named(&self, only: &[String]) -> Result<Vec<&dyn AnyStep>, OrderError> {
        let ordered = self.ordered()?;
        if only.is_empty() {
            return Ok(ordered);
        }
        let mut wanted: Vec<&'static str> = Vec::new();
        for asked in only {
            let found: Vec<_> = self
                .domains
                .iter()
                .flat_map(|d| d.steps.iter().map(move |s| (d.name, s.name())))
                .filter(|(domain, step)| domain == asked || step == asked)
                .collect();
            if found.is_empty() {
                return Err(OrderError::Unknown { asked: asked.clone(), known: self.names() });
            }
            wanted.extend(found.into_iter().map(|(_, step)| step));
        }
        Ok(ordered.into_iter().filter(|step| wanted.contains(&step.name())).collect())
    }
}
