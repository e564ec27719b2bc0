//! `#[config]`: parsing by serde, and a JSON Schema from the same struct.

use crate::attribute::{doc, named};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DataEnum, DeriveInput, Error, Field, Result, Type};

pub fn attribute(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let (schema, unknown) = match &input.data {
        Data::Enum(data) => (choice(data)?, None),
        _ => (object(input)?, Some(quote!(#[serde(deny_unknown_fields)]))),
    };
    // Variants are written as identifiers usually are in a job file.
    let case = matches!(input.data, Data::Enum(_)).then(|| quote!(#[serde(rename_all = "snake_case")]));
    Ok(quote! {
        #[derive(::pelton_sdk::serde::Deserialize)]
        #[serde(crate = "::pelton_sdk::serde")]
        #unknown
        #case
        #input

        impl ::pelton_sdk::config::Schema for #name {
            fn schema() -> ::pelton_sdk::serde_json::Value {
                #schema
            }
        }
    })
}

fn object(input: &DeriveInput) -> Result<TokenStream> {
    let whole = serde(&input.attrs, &["default"])?;
    let text = doc(&input.attrs);
    let (mut properties, mut required) = (vec![], vec![]);
    for field in named(input)? {
        let said = serde(&field.attrs, &["default", "rename"])?;
        let ident = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let name = said.rename.unwrap_or_else(|| ident.trim_start_matches("r#").to_owned());
        let (ty, text) = (&field.ty, doc(&field.attrs));
        properties.push(quote! {
            ::pelton_sdk::config::property(&mut properties, #name, <#ty as ::pelton_sdk::config::Schema>::schema(), #text);
        });
        if !whole.default && !said.default && !is_option(field) {
            required.push(name);
        }
    }
    Ok(quote! {
        let mut properties = ::pelton_sdk::serde_json::Map::new();
        #(#properties)*
        ::pelton_sdk::config::object(properties, &[#(#required),*], #text)
    })
}

fn choice(data: &DataEnum) -> Result<TokenStream> {
    let mut names = vec![];
    for variant in &data.variants {
        if !variant.fields.is_empty() {
            return Err(Error::new_spanned(
                variant,
                "a variant of a config has no fields; use a struct of options instead",
            ));
        }
        serde(&variant.attrs, &[])?;
        let mut name = String::new();
        for letter in variant.ident.to_string().chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(letter.to_lowercase());
        }
        names.push(name);
    }
    Ok(quote!(::pelton_sdk::serde_json::json!({ "enum": [#(#names),*] })))
}

#[derive(Default)]
struct Said {
    default: bool,
    rename: Option<String>,
}

/// What serde attributes say; one that the schema would not know about is refused, so that the two never differ.
fn serde(attributes: &[Attribute], known: &[&str]) -> Result<Said> {
    let mut said = Said::default();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            if !known.iter().any(|known| meta.path.is_ident(known)) {
                return Err(meta.error(format!("a config knows only the serde attributes {known:?} here")));
            }
            if meta.path.is_ident("rename") {
                said.rename = Some(meta.value()?.parse::<syn::LitStr>()?.value());
            } else {
                said.default = true;
                if meta.input.peek(syn::Token![=]) {
                    meta.value()?.parse::<syn::LitStr>()?;
                }
            }
            Ok(())
        })?;
    }
    Ok(said)
}

fn is_option(field: &Field) -> bool {
    matches!(&field.ty, Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == "Option"))
}
