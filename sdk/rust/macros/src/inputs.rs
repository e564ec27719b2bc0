//! `#[derive(Fields)]` on an enum: several inputs, a variant each, which holds one struct that derives `Fields`.

use crate::attribute::label;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{DataEnum, DeriveInput, Error, Fields, Lifetime, Result, Type, Variant, parse_quote};

pub fn derive(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let name = &input.ident;
    let lifetime: Lifetime = match input.generics.lifetimes().next() {
        Some(parameter) => parameter.lifetime.clone(),
        None => parse_quote!('__a),
    };
    let arguments = (!input.generics.params.is_empty()).then(|| quote!(<#lifetime>));
    let columns = format_ident!("__{}Columns", name);
    let (mut variants, mut declares, mut opens, mut reads) = (vec![], vec![], vec![], vec![]);
    for (number, variant) in (0u32..).zip(&data.variants) {
        let (ident, label, inner) = (&variant.ident, label(variant, "input")?, inner(variant)?);
        let fields = quote!(<#inner as ::pelton_sdk::rows::Fields<#lifetime>>);
        variants.push(quote!(#ident(#fields::Columns)));
        declares.push(quote! {
            inputs.extend(#fields::inputs().into_iter().map(|input| ::pelton_sdk::bindings::types::Input {
                name: ::std::string::String::from(#label),
                ..input
            }));
        });
        opens.push(quote!(#number => ::std::result::Result::Ok(#columns::#ident(#fields::open(source)?))));
        reads.push(quote!(#columns::#ident(columns) => #name::#ident(#fields::read(columns, index))));
    }
    Ok(quote! {
        #[doc(hidden)]
        pub enum #columns<#lifetime> { #(#variants,)* }

        impl<#lifetime> ::pelton_sdk::rows::Fields<#lifetime> for #name #arguments {
            type Columns = #columns<#lifetime>;
            fn inputs() -> ::std::vec::Vec<::pelton_sdk::bindings::types::Input> {
                let mut inputs = ::std::vec::Vec::new();
                #(#declares)*
                inputs
            }
            // The fields of an enum are those of its variants.
            fn declare() -> ::std::vec::Vec<::pelton_sdk::bindings::types::Field> {
                ::std::vec::Vec::new()
            }
            fn identity() -> ::pelton_sdk::bindings::types::Identity {
                ::pelton_sdk::bindings::types::Identity::empty()
            }
            fn open(source: &::pelton_sdk::rows::Source<#lifetime>) -> ::std::result::Result<Self::Columns, ::std::string::String> {
                match source.input() {
                    #(#opens,)*
                    other => ::std::result::Result::Err(::std::format!("there is no input {}", other)),
                }
            }
            #[inline]
            fn read(columns: &Self::Columns, index: usize) -> Self {
                match columns { #(#reads,)* }
            }
        }
    })
}

fn inner(variant: &Variant) -> Result<&Type> {
    let one = || Error::new_spanned(variant, "a variant holds one struct that derives `Fields`");
    match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Ok(&fields.unnamed[0].ty),
        _ => Err(one()),
    }
}
