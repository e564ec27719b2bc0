//! What is written on a field: `#[field(...)]`, its doc comment, and what its type says.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, Lit, Meta, Result, Variant};

/// A column, or something that a record carries beside its columns.
pub enum Place {
    Column(String),
    Special(Special),
}

#[derive(Clone, Copy, PartialEq)]
pub enum Special {
    PartitionKey,
    EventTime,
    ArrivalTime,
    Position,
    Payload,
}

impl Special {
    const NAMES: [(&'static str, Special); 5] = [
        ("partition_key", Special::PartitionKey),
        ("event_time", Special::EventTime),
        ("arrival_time", Special::ArrivalTime),
        ("position", Special::Position),
        ("payload", Special::Payload),
    ];

    /// The flag in `identity`.
    pub fn flag(self) -> TokenStream {
        match self {
            Special::PartitionKey => quote!(PARTITION_KEY),
            Special::EventTime => quote!(EVENT_TIME),
            Special::ArrivalTime => quote!(ARRIVAL_TIME),
            Special::Position => quote!(POSITION),
            Special::Payload => quote!(PAYLOAD),
        }
    }
}

/// The place of a field, its name if nothing else is said.
pub fn place(field: &Field) -> Result<Place> {
    let name = field.ident.as_ref().map(|ident| ident.to_string().trim_start_matches("r#").to_owned());
    let mut place = Place::Column(name.unwrap_or_default());
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("field")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("path") {
                place = Place::Column(meta.value()?.parse::<syn::LitStr>()?.value());
                return Ok(());
            }
            let special = Special::NAMES.iter().find(|(name, _)| meta.path.is_ident(name));
            let known =
                "expected `path = \"...\"`, `partition_key`, `event_time`, `arrival_time`, `position` or `payload`";
            place = Place::Special(special.ok_or_else(|| meta.error(known))?.1);
            Ok(())
        })?;
    }
    Ok(place)
}

/// Named fields of a struct.
pub fn named(input: &DeriveInput) -> Result<Vec<&Field>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields.named.iter().collect()),
            Fields::Unit => Ok(Vec::new()),
            Fields::Unnamed(_) => Err(Error::new_spanned(&input.ident, "name the fields: a column needs a name")),
        },
        _ => Err(Error::new_spanned(&input.ident, "expected a struct with named fields")),
    }
}

/// The doc comment as one line.
pub fn doc(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    };
    attributes.iter().filter_map(line).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A type with every lifetime made `'static`: builders do not depend on them.
pub fn without_lifetimes(tokens: impl ToTokens) -> TokenStream {
    let mut after_tick = false;
    let replace = |tree: TokenTree| -> TokenTree {
        let was_tick =
            std::mem::replace(&mut after_tick, matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == '\''));
        match tree {
            TokenTree::Ident(ident) if was_tick => TokenTree::Ident(proc_macro2::Ident::new("static", ident.span())),
            TokenTree::Group(group) => {
                let mut inner = proc_macro2::Group::new(group.delimiter(), without_lifetimes(group.stream()));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            other => other,
        }
    };
    tokens.to_token_stream().into_iter().map(replace).collect()
}

/// The name of a variant's output or input: its own in snake case, unless `#[output(name = "...")]` says otherwise.
pub fn label(variant: &Variant, attribute: &str) -> Result<String> {
    let mut label = String::new();
    for letter in variant.ident.to_string().chars() {
        if letter.is_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.extend(letter.to_lowercase());
    }
    for attribute in variant.attrs.iter().filter(|found| found.path().is_ident(attribute)) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("name") {
                return Err(meta.error("expected `name = \"...\"`"));
            }
            label = meta.value()?.parse::<syn::LitStr>()?.value();
            Ok(())
        })?;
    }
    Ok(label)
}
