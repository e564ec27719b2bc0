//! `#[derive(Tables)]`: a struct whose fields are tables, numbered in their order.

use crate::attribute::named;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Field, LitInt, LitStr, Result};

/// What `#[table(...)]` says of a field.
struct Said {
    name: String,
    prefetch: bool,
    ttl_ms: Option<u64>,
}

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let (mut declared, mut opens, mut migrates) = (vec![], vec![], vec![]);
    for (number, field) in (0u32..).zip(named(input)?) {
        let (field_ident, ty, said) = (&field.ident, &field.ty, said(field)?);
        let Said { name, prefetch, .. } = &said;
        let ttl_ms = match said.ttl_ms {
            Some(ttl_ms) => quote!(::std::option::Option::Some(#ttl_ms)),
            None => quote!(::std::option::Option::None),
        };
        declared.push(quote!(::pelton_sdk::state::table::declare::<#ty>(#name, #prefetch, #ttl_ms)));
        opens.push(quote!(#field_ident: <#ty as ::pelton_sdk::state::table::Handle>::at(#number, key)));
        migrates.push(quote!(#number => ::pelton_sdk::state::table::migrate::<#ty>(from, value)));
    }
    Ok(quote! {
        impl #generics ::pelton_sdk::state::table::Tables for #ident #arguments #bounds {
            fn declare() -> ::std::vec::Vec<::pelton_sdk::bindings::types::Table> {
                ::std::vec![#(#declared),*]
            }
            fn of(key: u32) -> Self {
                let _ = key;
                Self { #(#opens,)* }
            }
            fn migrate(
                table: u32,
                from: u32,
                value: &[u8],
            ) -> ::std::result::Result<::std::option::Option<::std::vec::Vec<u8>>, ::std::string::String> {
                let _ = (from, value);
                match table {
                    #(#migrates,)*
                    other => ::std::result::Result::Err(::pelton_sdk::state::table::unknown(other)),
                }
            }
        }
    })
}

fn said(field: &Field) -> Result<Said> {
    let name = field.ident.as_ref().map(|ident| ident.to_string().trim_start_matches("r#").to_owned());
    let mut said = Said { name: name.unwrap_or_default(), prefetch: false, ttl_ms: None };
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("table")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("prefetch") {
                said.prefetch = true;
            } else if meta.path.is_ident("name") {
                said.name = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.path.is_ident("ttl_ms") {
                said.ttl_ms = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?);
            } else {
                return Err(meta.error("expected `name = \"...\"`, `prefetch` or `ttl_ms = N`"));
            }
            Ok(())
        })?;
    }
    Ok(said)
}
