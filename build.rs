//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Functions that came out the same byte for byte are kept once. Only lld can, which is rustc's linker there.
    let target = std::env::var("TARGET").unwrap_or_default();
    if target == "x86_64-unknown-linux-gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}
