//! The program looks for client libraries in `lib` beside it first: `dist` puts them there. Those libraries' own libraries are
//! looked for there as well, which takes the older kind of the two paths.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    println!("cargo::rustc-env=TARGET={}", of("TARGET"));
    if of("CARGO_CFG_TARGET_OS") == "linux" {
        println!("cargo::rustc-link-arg-bins=-Wl,--disable-new-dtags,-rpath,$ORIGIN/lib");
    }
}
