//! What a command works with: settings and databases.

use std::path::{Path, PathBuf};

use replant_core::db::{Db, DbUrl, Role};
use replant_core::{Migration, Registry, Settings, ledger};

use crate::app::App;
use crate::config::{self, Environment, Vars};
use crate::error::{self, Databases, Error};
use crate::money::Exponents;
use crate::places::{self, Places};
use crate::typed::typed;

/// What a command works with: the company's migration, the environments and their databases.
pub struct Context {
    app: App,
    /// The folders that the call names.
    config: Option<PathBuf>,
    work: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(app: App, config: Option<PathBuf>, work: Option<PathBuf>) -> Self {
        Self { app, config, work }
    }

    /// The domains.
    pub fn registry(&self) -> Registry {
        (self.app.registry)()
    }

    /// The settings of an environment.
    ///
    /// # Errors
    /// There is no such environment, or a setting is wrong.
    pub fn environment(&self, name: &str) -> Result<Environment, Error> {
        let environment = self.environment_with(name, &config::vars())?;
        let place = |url: Result<DbUrl, _>| url.ok().map(|url: DbUrl| url.place());
        error::set_databases(Databases { legacy: place(environment.legacy()), target: place(environment.target()) });
        Ok(environment)
    }

    /// The legacy database of an environment.
    ///
    /// # Errors
    /// A setting is wrong, or it cannot be reached.
    pub fn legacy(&self, name: &str) -> Result<Db, Error> {
        Ok(Db::open(&self.environment(name)?.legacy()?, Role::Legacy)?)
    }

    /// The target of an environment that has a ledger, to read it.
    ///
    /// # Errors
    /// A setting is wrong, it cannot be reached, or nothing was migrated into it.
    pub fn ledger(&self, name: &str) -> Result<Db, Error> {
        let mut db = Db::open(&self.environment(name)?.target()?, Role::Target)?;
        if ledger::exists(&mut db)? {
            return Ok(db);
        }
        let hint = format!("`{}` begins one", typed("migrate", name));
        Err(Error::NotFound { what: "the target has no ledger yet: nothing was migrated into it".to_owned(), hint })
    }

    /// The folder of the environments' files.
    ///
    /// # Errors
    /// It is not there.
    pub fn config_folder(&self) -> Result<PathBuf, Error> {
        Ok(self.places()?.config)
    }

    /// The same, with another folder of the environments' files.
    #[must_use]
    pub fn with_config(&self, folder: &Path) -> Self {
        Self { app: self.app.clone(), config: Some(folder.to_owned()), work: self.work.clone() }
    }

    /// The workspace, where cargo runs the program or has built it.
    pub fn workspace(&self) -> Option<PathBuf> {
        places::workspace(self.app.config)
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    pub(crate) fn places(&self) -> Result<Places, Error> {
        Ok(Places::find(self.app.config, self.config.clone(), self.work.clone())?)
    }

    pub(crate) fn environment_with(&self, name: &str, vars: &Vars) -> Result<Environment, Error> {
        Ok(Environment::load(name, &self.places()?, vars)?)
    }

    pub(crate) fn migration<'a>(
        &self,
        registry: &'a Registry,
        legacy: DbUrl,
        target: DbUrl,
        settings: Settings,
    ) -> Migration<'a> {
        Migration { registry, snapshot: self.app.snapshot, legacy, target, settings }
    }

    /// The decimals of the target's currencies.
    pub(crate) fn exponents(&self, target: &mut Db) -> Result<Exponents, Error> {
        Ok(Exponents::new((self.app.exponents)(target).map_err(error::query_failed)?))
    }
}
