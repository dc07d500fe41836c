//! Which file of a crate imports from which: read from its source, resolved through re-exports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use syn::visit::{self, Visit};

/// A module, as its path inside the crate: `["storage", "ledger", "claim"]`.
pub(crate) type Module = Vec<String>;

/// What a file says.
#[derive(Default)]
struct Source {
    /// The modules that it declares.
    children: BTreeSet<String>,
    /// What it names, as paths inside the crate, and whether that is a re-export of a child: the face of a folder.
    paths: Vec<(Vec<String>, bool)>,
    /// Where the names come from that it has from elsewhere.
    names: BTreeMap<String, Vec<String>>,
}

/// Who imports whom, inside a crate.
pub(crate) struct Imports(BTreeMap<Module, BTreeSet<Module>>);

impl Imports {
    /// Reads the sources of a crate.
    pub(crate) fn of(src: &Path) -> Self {
        let mut sources = BTreeMap::new();
        read(src, &mut Vec::new(), &mut sources);
        let edges = sources.iter().map(|(module, source)| {
            let named = source.paths.iter().filter(|(_, is_face)| !is_face).map(|(path, _)| resolve(&sources, path, 0));
            let others = named.filter(|other| other != module && !other.is_empty()).collect();
            // The root of the crate re-exports what the outside sees.
            (module.clone(), if module.is_empty() { BTreeSet::new() } else { others })
        });
        Self(edges.collect())
    }

    /// Every import, from one file to another.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Module, &Module)> {
        self.0.iter().flat_map(|(from, others)| others.iter().map(move |to| (from, to)))
    }

    /// Files that import each other in a circle; of deeper ones the folder at `depth` stands for all that lies in it.
    pub(crate) fn circles(&self, depth: usize) -> Vec<Vec<String>> {
        let name = |module: &Module| module[..module.len().min(depth)].join("::");
        let names: BTreeSet<String> = self.0.keys().map(name).collect();
        let mut graph = DiGraphMap::<&str, ()>::new();
        for (from, to) in self.iter() {
            let ends = names.get(&name(from)).zip(names.get(&name(to)));
            if let Some((from, to)) = ends.filter(|(from, to)| from != to) {
                graph.add_edge(from, to, ());
            }
        }
        let circles = tarjan_scc(&graph).into_iter().filter(|circle| circle.len() > 1);
        circles.map(|circle| circle.into_iter().map(str::to_owned).collect()).collect()
    }
}

/// Reads the files of a folder, each as the module that it is.
fn read(folder: &Path, module: &mut Module, sources: &mut BTreeMap<Module, Source>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let stem = entry.file_stem().unwrap().to_str().unwrap().to_owned();
        if entry.is_dir() {
            module.push(stem);
            read(&entry, module, sources);
            module.pop();
        } else if entry.extension().is_some_and(|end| end == "rs") && stem != "tests" {
            let mut of_file = module.clone();
            if !["lib", "mod", "main"].contains(&stem.as_str()) {
                of_file.push(stem);
            }
            let file = syn::parse_file(&fs::read_to_string(&entry).unwrap()).unwrap();
            let mut reader = Reader { module: &of_file, source: Source::default() };
            reader.source.children = declared(&file);
            reader.visit_file(&file);
            let source = reader.source;
            sources.insert(of_file, source);
        }
    }
}

fn declared(file: &syn::File) -> BTreeSet<String> {
    let modules = file.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() => Some(module.ident.to_string()),
        _ => None,
    });
    modules.collect()
}

/// The module in which something is declared that a path names.
fn resolve(sources: &BTreeMap<Module, Source>, path: &[String], hops: usize) -> Module {
    let known = (0..=path.len()).rev().find(|length| sources.contains_key(&path[..*length])).unwrap_or(0);
    let module = path[..known].to_vec();
    let Some(name) = path.get(known) else { return module };
    match sources[&module].names.get(name) {
        // A name may lead to another one, but not for ever.
        Some(elsewhere) if hops < 8 && elsewhere[..] != path[..=known] => {
            let path = [elsewhere, &path[known + 1..]].concat();
            resolve(sources, &path, hops + 1)
        }
        _ => module,
    }
}

struct Reader<'a> {
    module: &'a Module,
    source: Source,
}

impl Reader<'_> {
    /// A path as one inside the crate; none where it leads elsewhere.
    fn inside(&self, path: &[String]) -> Option<Vec<String>> {
        let first = path.first()?.as_str();
        if self.source.children.contains(first) {
            return Some([self.module, path].concat());
        }
        if first == "crate" {
            return Some(path[1..].to_vec());
        }
        let up = path.iter().take_while(|part| *part == "super").count();
        let rest = &path[up + usize::from(path.get(up).is_some_and(|part| part == "self"))..];
        let is_relative = up > 0 || first == "self";
        is_relative.then(|| [&self.module[..self.module.len().saturating_sub(up)], rest].concat())
    }

    fn imported(&mut self, tree: &syn::UseTree, before: &mut Vec<String>, is_public: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.imported(&path.tree, before, is_public);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.imported(tree, before, is_public));
            }
            syn::UseTree::Glob(_) => self.name(before, None, is_public),
            syn::UseTree::Name(name) if name.ident == "self" => {
                let own = before.last().cloned();
                self.name(before, own, is_public);
            }
            syn::UseTree::Name(name) => self.leaf(before, &name.ident, &name.ident, is_public),
            syn::UseTree::Rename(rename) => self.leaf(before, &rename.ident, &rename.rename, is_public),
        }
    }

    fn leaf(&mut self, before: &mut Vec<String>, ident: &syn::Ident, known_as: &syn::Ident, is_public: bool) {
        before.push(ident.to_string());
        self.name(before, Some(known_as.to_string()), is_public);
        before.pop();
    }

    fn name(&mut self, path: &[String], known_as: Option<String>, is_public: bool) {
        let Some(inside) = self.inside(path) else { return };
        let is_face = is_public && self.source.children.contains(&path[0]);
        self.source.names.extend(known_as.map(|name| (name, inside.clone())));
        self.source.paths.push((inside, is_face));
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        // Tests may look upward.
        if module.content.is_none() || module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        self.imported(&item.tree, &mut Vec::new(), is_public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(inside) = self.inside(&parts).filter(|_| parts.len() > 1) {
            self.source.paths.push((inside, false));
        }
        visit::visit_path(self, path);
    }
}
