//! The strict check of a JSON body.
