//! `#[derive(Accumulator)]`: fields in order, each as `accumulator::Part` writes it.

use crate::attribute::named;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Result};

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let fields = named(input)?;
    let (idents, types): (Vec<_>, Vec<_>) = fields.iter().map(|field| (&field.ident, &field.ty)).unzip();
    let mut version: u8 = 1;
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("accumulator")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("version") {
                return Err(meta.error("expected `version = N`"));
            }
            version = meta.value()?.parse::<syn::LitInt>()?.base10_parse()?;
            Ok(())
        })?;
    }
    Ok(quote! {
        impl ::pelton_sdk::accumulator::Accumulator for #name {
            const VERSION: u8 = #version;
            #[inline]
            fn encode(&self, into: &mut ::std::vec::Vec<u8>) {
                #(::pelton_sdk::accumulator::Part::put(&self.#idents, into);)*
            }
            #[inline]
            fn decode(bytes: &[u8]) -> ::std::result::Result<Self, ::std::string::String> {
                let mut rest = bytes;
                let value = Self { #(#idents: <#types as ::pelton_sdk::accumulator::Part>::take(&mut rest)?,)* };
                ::pelton_sdk::accumulator::ended(rest)?;
                ::std::result::Result::Ok(value)
            }
        }
    })
}
