//! Compiles the schema with protox: no system `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["schema/p2pd.proto", "schema/auth.proto", "schema/dht.proto", "schema/runtime.proto"];
    let descriptors = protox::compile(files, ["schema"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed=schema");
    Ok(())
}
