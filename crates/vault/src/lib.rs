//! The trusted core: tenant connections, caller, gate, permit, audit writer, sealed rows.
