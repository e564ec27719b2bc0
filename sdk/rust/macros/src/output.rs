//! `#[derive(Output)]`: a struct is one output, an enum of structs is one output a variant.

use crate::attribute::{Place, Special, doc, label, named, place, without_lifetimes};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DataEnum, DeriveInput, Error, Fields, Result, Variant};

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    match &input.data {
        Data::Enum(data) => routes(input, data),
        _ => record(input),
    }
}

/// The parts of a struct's implementation, a field at a time.
#[derive(Default)]
struct Parts {
    declared: Vec<TokenStream>,
    sets: Vec<TokenStream>,
    types: Vec<TokenStream>,
    reserves: Vec<TokenStream>,
    pushes: Vec<TokenStream>,
    finishes: Vec<TokenStream>,
}

fn record(input: &DeriveInput) -> Result<TokenStream> {
    let mut parts = Parts::default();
    for field in named(input)? {
        let (ident, ty, text) = (&field.ident, &field.ty, doc(&field.attrs));
        match place(field)? {
            Place::Column(path) => {
                let fixed = without_lifetimes(ty);
                let value = quote!(<#fixed as ::pelton_sdk::value::Value>);
                parts.declared.push(quote!(::pelton_sdk::batch::field(#path, #value::KIND, #value::OPTIONAL, #text)));
                parts.types.push(quote!(#ident: #value::Builder));
                parts.reserves.push(quote!(::pelton_sdk::value::Builder::reserve(&mut columns.#ident, rows);));
                parts.pushes.push(quote!(::pelton_sdk::value::Value::push(self.#ident, &mut columns.#ident);));
                parts.finishes.push(quote!(::pelton_sdk::value::Builder::finish(columns.#ident)));
            }
            Place::Special(special) => {
                parts.sets.push(special.flag());
                let place = quote!(columns.__identities);
                parts.pushes.push(match special {
                    Special::PartitionKey => {
                        quote!(#place.partition_key.push(::std::convert::AsRef::<[u8]>::as_ref(&self.#ident));)
                    }
                    Special::Payload => {
                        quote!(#place.payload.push(::std::convert::AsRef::<[u8]>::as_ref(&self.#ident));)
                    }
                    Special::EventTime => quote!(#place.event_us.push(self.#ident);),
                    _ => {
                        return Err(Error::new_spanned(
                            field,
                            "an output can set `partition_key`, `event_time` and `payload`",
                        ));
                    }
                });
            }
        }
    }
    Ok(implementation(input, &parts))
}

fn implementation(input: &DeriveInput, parts: &Parts) -> TokenStream {
    let (name, text) = (&input.ident, doc(&input.attrs));
    let columns = format_ident!("__{}Columns", name);
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let Parts { declared, sets, types, reserves, pushes, finishes } = parts;
    let sets =
        quote!(::pelton_sdk::bindings::types::Identity::empty() #(| ::pelton_sdk::bindings::types::Identity::#sets)*);
    quote! {
        #[doc(hidden)]
        #[derive(Default)]
        pub struct #columns {
            #(#types,)*
            __source: ::std::vec::Vec<u32>,
            __identities: ::pelton_sdk::out::Identities,
        }

        impl #generics ::pelton_sdk::out::Output for #name #arguments #bounds {
            type Columns = #columns;
            fn declare(name: &str) -> ::std::vec::Vec<::pelton_sdk::bindings::types::Output> {
                let mut output = ::pelton_sdk::batch::output(name, ::std::vec![#(#declared),*], #text);
                output.sets = #sets;
                ::std::vec![output]
            }
            fn reserve(columns: &mut #columns, rows: usize) {
                columns.__source.reserve(rows);
                #(#reserves)*
            }
            #[inline]
            fn push(self, source: u32, columns: &mut #columns) {
                #(#pushes)*
                columns.__source.push(source);
            }
            fn finish(columns: #columns, output: u32, into: &mut ::std::vec::Vec<::pelton_sdk::bindings::types::Emitted>) {
                if columns.__source.is_empty() {
                    return;
                }
                let fields = ::std::vec![#(#finishes),*];
                into.push(::pelton_sdk::out::emitted(output, columns.__source, columns.__identities, #sets, fields));
            }
        }
    }
}

fn routes(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let name = &input.ident;
    let columns = format_ident!("__{}Columns", name);
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let (mut types, mut declares, mut arms, mut finishes) = (vec![], vec![], vec![], vec![]);
    for (index, variant) in data.variants.iter().enumerate() {
        let (ident, place, number) = (&variant.ident, format_ident!("output_{}", index), index as u32);
        let Fields::Unnamed(inner) = &variant.fields else {
            return Err(one_struct(variant));
        };
        let (Some(inner), 1) = (inner.unnamed.first(), inner.unnamed.len()) else {
            return Err(one_struct(variant));
        };
        let fixed = without_lifetimes(&inner.ty);
        let output = quote!(<#fixed as ::pelton_sdk::out::Output>);
        let label = label(variant, "output")?;
        types.push(quote!(#place: #output::Columns));
        declares.push(quote!(#output::declare(#label)));
        arms.push(quote!(#name::#ident(value) => ::pelton_sdk::out::Output::push(value, source, &mut columns.#place)));
        finishes.push(quote!(#output::finish(columns.#place, output + #number, into);));
    }
    Ok(quote! {
        #[doc(hidden)]
        #[derive(Default)]
        pub struct #columns { #(#types,)* }

        impl #generics ::pelton_sdk::out::Output for #name #arguments #bounds {
            type Columns = #columns;
            fn declare(_: &str) -> ::std::vec::Vec<::pelton_sdk::bindings::types::Output> {
                let mut outputs = ::std::vec::Vec::new();
                #(outputs.extend(#declares);)*
                outputs
            }
            // How the rows divide among the outputs is not known before.
            fn reserve(_: &mut #columns, _: usize) {}
            #[inline]
            fn push(self, source: u32, columns: &mut #columns) {
                match self { #(#arms,)* }
            }
            fn finish(columns: #columns, output: u32, into: &mut ::std::vec::Vec<::pelton_sdk::bindings::types::Emitted>) {
                #(#finishes)*
            }
        }
    })
}

fn one_struct(variant: &Variant) -> Error {
    Error::new_spanned(variant, "a variant holds one struct that derives `Output`")
}
