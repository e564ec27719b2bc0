//! Where schemas come from: one registry, and the ones behind it.

use std::ops::Range;

use super::Check;
use crate::job::{
    diagnostic::Diagnostic,
    file::raw,
    graph::{Registry, RegistryKind},
};

/// Registries behind each other.
const MOST_REGISTRIES: usize = 4;

impl<'a> Check<'a> {
    pub(super) fn registry(&self) -> Option<Registry> {
        let (registry, owner) = self.given(&self.file.raw.registry)?;
        self.one_registry(registry, &owner, 1)
    }

    fn one_registry(&self, registry: &'a raw::Registry, owner: &Range<usize>, depth: usize) -> Option<Registry> {
        if depth > MOST_REGISTRIES {
            let message = format!("more than {MOST_REGISTRIES} registries behind each other");
            self.report(Diagnostic::new("E0104", owner.clone(), message));
            return None;
        }
        let keys = [
            ("confluent", registry.confluent.as_ref().map(|at| &at.place)),
            ("glue", registry.glue.as_ref().map(|at| &at.place)),
            ("folder", registry.folder.as_ref().map(|at| &at.place)),
        ];
        let secondary = self.given(&registry.secondary);
        let secondary =
            secondary.map(|(secondary, owner)| self.one_registry(secondary, &owner, depth + 1).map(Box::new));
        let kind = match self.exactly_one("a registry", owner, &keys)? {
            0 => self.confluent(self.given(&registry.confluent)?),
            1 => self.glue(self.given(&registry.glue)?),
            _ => {
                let (folder, owner) = self.given(&registry.folder)?;
                let path = self.needed_text(&folder.path, "path", &owner)?;
                Some(RegistryKind::Folder { path: self.file.folder.join(path) })
            }
        };
        // A second registry with a mistake of its own is no reason to go on with the first alone.
        let secondary = match secondary {
            Some(second) => Some(second?),
            None => None,
        };
        Some(Registry { kind: kind?, secondary })
    }

    fn confluent(&self, (confluent, owner): (&'a raw::Confluent, Range<usize>)) -> Option<RegistryKind> {
        let (list, place) = self.needed(&confluent.url, "url", &owner)?;
        let mut urls = Vec::new();
        for url in &list.0 {
            let text = url.value.clone()?;
            self.url(&text, url.place.clone());
            urls.push(text);
        }
        if urls.is_empty() {
            self.report(Diagnostic::new("E0104", place, "`url` is empty"));
            return None;
        }
        let secret =
            |setting: &'a Option<_>| self.given(setting).map(|(secret, _): (&crate::job::Secret, _)| secret.clone());
        if let (Some(token), Some(user)) = (&confluent.token, &confluent.user) {
            let mistake = Diagnostic::new("E0104", token.place.clone(), "`token` and `user` exclude each other");
            self.report(mistake.related(user.place.clone(), "`user` here"));
        }
        let ca = match self.given(&confluent.ca) {
            Some((path, place)) => Some(self.existing_file(path, place)?),
            None => None,
        };
        let (user, password, token) =
            (self.text(&confluent.user), secret(&confluent.password), secret(&confluent.token));
        Some(RegistryKind::Confluent { urls, user, password, token, ca })
    }

    fn glue(&self, (glue, owner): (&'a raw::Glue, Range<usize>)) -> Option<RegistryKind> {
        if !cfg!(feature = "glue") {
            let mistake = Diagnostic::new("E0104", owner, "this program was built without the registry of AWS Glue");
            self.report(mistake.help("build it with the feature `glue`"));
            return None;
        }
        let registry = self.text(&glue.registry).unwrap_or_else(|| "default-registry".to_owned());
        Some(RegistryKind::Glue { registry, aws: self.aws(&glue.endpoint, &glue.region, &glue.profile, &glue.role) })
    }
}
