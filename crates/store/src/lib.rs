//! sea-orm entities and repositories of the operations database. Can query; cannot open or mint.
