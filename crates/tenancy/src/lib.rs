//! Directory, provisioning, lifecycle, migrations over all tenant schemas.
