//! The lookups that were built in this process.

use std::any::{Any, TypeId};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustc_hash::FxHashMap;

type Shared = dyn Any + Send + Sync;

/// A lookup that was built, or the place for it: whoever builds it holds the place, and others wait.
#[derive(Default)]
struct Place {
    built: Option<Weak<Shared>>,
    /// Keeps it in memory.
    _kept: Option<Arc<Shared>>,
}

/// The lookups that were built in this process. Steps that run side by side share them as long as one of them has one, so
/// what none needs any more takes no memory. Those that run one after the other find them kept.
#[derive(Default)]
pub(crate) struct LookupCache {
    keeps: bool,
    places: Mutex<FxHashMap<TypeId, Arc<Mutex<Place>>>>,
}

impl LookupCache {
    /// One that keeps what was built until it goes itself.
    pub(crate) fn keeping() -> Self {
        Self { keeps: true, ..Self::default() }
    }

    fn place<Name: 'static>(&self) -> Arc<Mutex<Place>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(TypeId::of::<Name>()).or_default())
    }

    /// Keeps one that was built elsewhere, whatever the others do.
    pub(super) fn keep<T: Send + Sync + 'static>(&self, built: T) {
        let kept: Arc<Shared> = Arc::new(built);
        let place = self.place::<T>();
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Place { built: Some(Arc::downgrade(&kept)), _kept: Some(kept) };
    }

    /// The one that is known by the type `Name`, built at the first call.
    pub(super) fn get_or_build<Name: 'static, T: Send + Sync + 'static, E>(
        &self,
        build: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let place = self.place::<Name>();
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let built = place.built.as_ref().and_then(Weak::upgrade);
        if let Some(built) = built.and_then(|any| any.downcast().ok()) {
            return Ok(built);
        }
        tracing::debug!(lookup = std::any::type_name::<Name>(), "built");
        let built = Arc::new(build()?);
        let any: Arc<Shared> = Arc::clone(&built) as _;
        *place = Place { built: Some(Arc::downgrade(&any)), _kept: self.keeps.then_some(any) };
        Ok(built)
    }
}
