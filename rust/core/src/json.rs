//! The strict check of a JSON body before it is decoded.
