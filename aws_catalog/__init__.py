"""What AWS allows, as small typed tables: each fact with the page it comes from, none of it fetched."""
