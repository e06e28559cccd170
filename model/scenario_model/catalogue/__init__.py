"""The catalogue that hands releases to sites: a TUF repository over a store of releases (theupdateframework.io)."""
